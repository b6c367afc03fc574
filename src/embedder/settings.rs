//! Reads from a model's own files how it turns text into vectors, in the layout of sentence-transformers.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::architecture::Kind;
use super::head::{Activation, Pooling};

/// What a model is made of, in order, each part in a folder of its own.
pub const MODULES: &str = "modules.json";
/// What is put before a text, by the kind of text.
pub const PROMPTS: &str = "config_sentence_transformers.json";

/// What sentence-transformers sets for the bundled model; also used for a model that does not say.
const WINDOW: usize = 256;
/// The shortest window, in tokens, that leaves room for words between the marks.
const SHORTEST: usize = 8;
/// A `model_max_length` above this stands for none.
const ENDLESS: f64 = 1e9;

/// The words that each model of a family wants before a query and before a passage, although few of their files say so. A family is known
/// by a word of the model's name (Wang et al. 2022 and 2024, E5).
const FAMILIES: [(&[&str], &str, &str); 2] = [
    (
        &["e5", "instruct"],
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
        "",
    ),
    (&["e5"], "query: ", "passage: "),
];

/// What is put before a text, so that a model tells questions from what may answer them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefixes {
    pub query: String,
    pub passage: String,
}

/// Says what becomes of the vector behind the pooling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A dense layer, whose weights are in `folder`.
    Dense {
        folder: String,
        activation: Activation,
    },
    /// Scaling to length 1.
    Normalize,
}

/// Says how a model turns text into vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub kind: Kind,
    /// The folder of the transformer and its tokenizer; empty, or with a `/` at its end.
    pub transformer: String,
    pub pooling: Pooling,
    pub steps: Vec<Step>,
    pub prefixes: Prefixes,
    /// The longest input in tokens, the marks around it included.
    pub window: usize,
    /// Whether text is put into lower case before it is cut into tokens.
    pub is_lowercase: bool,
}

impl Settings {
    /// Returns the settings of the bundled model.
    pub fn bundled() -> Settings {
        Settings {
            kind: Kind::Bert,
            transformer: String::new(),
            pooling: Pooling::Mean,
            steps: Vec::new(),
            prefixes: Prefixes::default(),
            window: WINDOW,
            is_lowercase: false,
        }
    }

    /// Reads the settings of the model in a folder; `name` is what it is called.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, and when the model needs what is not known here: all its vectors would be wrong.
    pub fn read(folder: &Path, name: &str) -> Result<Settings> {
        let modules = Modules::read(folder)?;
        let setting = |file: &str| setting(folder, file);
        let transformer = modules.transformer;
        let kind = Kind::of(&setting(&format!("{transformer}config.json"))?)?;
        let pooling = setting(&format!("{}config.json", modules.pooling))?;
        let prefixes = prefixes(&setting(PROMPTS)?, name);
        if prefixes != Prefixes::default() && pooling["include_prompt"] == false {
            bail!("the model leaves its prompts out of the pooling, which is not known here");
        }
        let mut steps = Vec::new();
        for step in modules.steps {
            steps.push(match step {
                None => Step::Normalize,
                Some(folder) => {
                    let config = setting(&format!("{folder}config.json"))?;
                    let activation = Activation::of(&config)?;
                    Step::Dense { folder, activation }
                }
            });
        }
        let own = setting(&format!("{transformer}sentence_bert_config.json"))?;
        let tokenizer = setting(&format!("{transformer}tokenizer_config.json"))?;
        let length = |value: &Value| value.as_f64().filter(|&n| n > 0.0 && n < ENDLESS);
        let window = length(&own["max_seq_length"]).or(length(&tokenizer["model_max_length"]));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between 0 and a thousand million"
        )]
        let window = window.map_or(WINDOW, |tokens| tokens as usize);
        Ok(Settings {
            kind,
            pooling: Pooling::of(&pooling)?,
            transformer,
            steps,
            prefixes,
            window: window.max(SHORTEST),
            is_lowercase: own["do_lower_case"] == true,
        })
    }

    /// Says what makes the vectors other than those of a plain encoder; nothing for a plain one. The name of a stored model hangs on
    /// these words: where they change, its vectors are made anew.
    pub fn particulars(&self) -> String {
        let Prefixes { query, passage } = &self.prefixes;
        let mut all = Vec::new();
        if !query.is_empty() {
            all.push(format!("{query:?} before queries"));
        }
        if !passage.is_empty() {
            all.push(format!("{passage:?} before passages"));
        }
        if !matches!(self.pooling, Pooling::Mean | Pooling::Cls) {
            all.push(format!("{} pooling", self.pooling));
        }
        let steps = self.steps.iter().map(|step| match step {
            Step::Normalize => "normalized".to_owned(),
            Step::Dense { folder, activation } => {
                format!("dense layer `{folder}` ({activation})")
            }
        });
        // Every vector is scaled to length 1 at the end, so that this alone changes none.
        if self.steps.iter().any(|step| *step != Step::Normalize) {
            all.extend(steps);
        }
        if self.is_lowercase {
            all.push("lower case".to_owned());
        }
        all.join(", ")
    }
}

/// Names the folders of what a model is made of, each empty or with a `/` at its end.
pub struct Modules {
    pub transformer: String,
    pub pooling: String,
    /// What follows the pooling: the folder of a dense layer, or `None` for a scaling to length 1.
    pub steps: Vec<Option<String>>,
}

impl Default for Modules {
    fn default() -> Modules {
        Modules {
            transformer: String::new(),
            pooling: "1_Pooling/".to_owned(),
            steps: Vec::new(),
        }
    }
}

impl Modules {
    /// Reads `modules.json`; a folder without one has a transformer, and perhaps says how it pools.
    pub fn read(folder: &Path) -> Result<Modules> {
        let mut modules = Modules::default();
        let listed = setting(folder, MODULES)?;
        let Some(listed) = listed.as_array() else {
            return Ok(modules);
        };
        for (index, module) in listed.iter().enumerate() {
            let kind = module["type"].as_str().unwrap_or_default();
            let path = module["path"].as_str().unwrap_or_default();
            let path = match path.trim_matches('/') {
                "" => String::new(),
                path => format!("{}/", inside(path)?),
            };
            // The package that a class lies in has changed more than once.
            match (index, kind.rsplit('.').next().unwrap_or_default()) {
                (0, "Transformer") => modules.transformer = path,
                (1, "Pooling") => modules.pooling = path,
                (2.., "Dense") => modules.steps.push(Some(path)),
                (2.., "Normalize") => modules.steps.push(None),
                // It only matters in training.
                (2.., "Dropout") => {}
                _ => bail!(
                    "the model has a `{kind}` as its part {}, and only a Transformer, then a Pooling, then Dense and Normalize are known here",
                    index + 1
                ),
            }
        }
        if listed.len() < 2 {
            bail!("the model's `{MODULES}` names no pooling");
        }
        Ok(modules)
    }

    /// Returns the small files that belong to the model, and whether it can do without each.
    pub fn files(&self) -> Vec<(String, bool)> {
        let (transformer, pooling) = (&self.transformer, &self.pooling);
        let mut files = vec![
            (format!("{transformer}config.json"), false),
            (format!("{transformer}tokenizer.json"), false),
            (format!("{pooling}config.json"), true),
            (format!("{transformer}sentence_bert_config.json"), true),
            (format!("{transformer}tokenizer_config.json"), true),
            (PROMPTS.to_owned(), true),
        ];
        for folder in self.steps.iter().flatten() {
            files.push((format!("{folder}config.json"), false));
        }
        files
    }

    /// Returns the folders that hold weights.
    pub fn weighted(&self) -> impl Iterator<Item = &String> {
        [&self.transformer]
            .into_iter()
            .chain(self.steps.iter().flatten())
    }
}

/// Returns a path that a file names, if it stays in the model's folder.
pub fn inside(path: &str) -> Result<&str> {
    let is_inside = |part| matches!(part, Component::Normal(_));
    match path.contains('\\') || !Path::new(path).components().all(is_inside) {
        true => bail!("the model names a file outside its folder: `{path}`"),
        false => Ok(path),
    }
}

/// Reads a JSON file of a model; null where there is none.
pub fn setting(folder: &Path, file: &str) -> Result<Value> {
    let path = folder.join(file);
    let read = || format!("cannot read `{}`", path.display());
    match fs::read(&path) {
        Ok(content) => serde_json::from_slice(&content).with_context(read),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(error).with_context(read),
    }
}

/// Returns what a model's file puts before texts, or else what its family is known to want.
fn prefixes(config: &Value, name: &str) -> Prefixes {
    let prompt = |name: &str| config["prompts"][name].as_str();
    let common = config["default_prompt_name"].as_str().and_then(prompt);
    let query = prompt("query").or(common);
    let mut passages = ["document", "passage", "corpus"].into_iter();
    let passage = passages.find_map(prompt).or(common);
    if query.or(passage).is_some() {
        return Prefixes {
            query: query.unwrap_or_default().to_owned(),
            passage: passage.unwrap_or_default().to_owned(),
        };
    }
    let name = name.rsplit('/').next().unwrap_or_default();
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(str::to_ascii_lowercase)
        .collect();
    let has = |word: &&str| words.iter().any(|own| own == word);
    let family = FAMILIES.iter().find(|(family, ..)| family.iter().all(has));
    family.map_or_else(Prefixes::default, |&(_, query, passage)| Prefixes {
        query: query.to_owned(),
        passage: passage.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(config: Value, name: &str, query: &str, passage: &str) {
        let found = prefixes(&config, name);
        assert_eq!(
            (&*found.query, &*found.passage),
            (query, passage),
            "{config} {name}"
        );
    }

    #[test]
    fn prefixes_come_from_the_files_or_else_from_the_family() {
        let none = Value::Null;
        check(none.clone(), "acme/tiny", "", "");
        for name in [
            "intfloat/multilingual-e5-small",
            "e5-base-v2",
            "me/my_E5.tuned",
        ] {
            check(none.clone(), name, "query: ", "passage: ");
        }
        check(none.clone(), "acme/tune5-small", "", "");
        check(none.clone(), "e5-base/other", "", "");
        let instruct = prefixes(&none, "intfloat/multilingual-e5-large-instruct");
        assert!(instruct.query.ends_with("\nQuery: ") && instruct.passage.is_empty());

        check(
            json!({"prompts": {"query": "q ", "document": "d "}}),
            "e5",
            "q ",
            "d ",
        );
        check(
            json!({"prompts": {"query": "q ", "passage": "p "}}),
            "x",
            "q ",
            "p ",
        );
        check(
            json!({"prompts": {"query": "", "document": ""}}),
            "e5",
            "",
            "",
        );
        check(json!({"prompts": {"query": "q "}}), "x", "q ", "");
        let common = json!({"prompts": {"query": "q ", "all": "a "}, "default_prompt_name": "all"});
        check(common, "x", "q ", "a ");
        check(
            json!({"prompts": {"clustering": "c "}, "default_prompt_name": null}),
            "e5",
            "query: ",
            "passage: ",
        );
    }

    #[test]
    fn a_file_lies_in_the_folder_of_its_model() {
        for path in ["2_Dense", "a/b.safetensors"] {
            assert!(inside(path).is_ok(), "{path}");
        }
        for path in ["../secret", "/etc/passwd", "a/../../b", "..", "a\\..\\b"] {
            assert!(inside(path).is_err(), "{path}");
        }
    }
}
