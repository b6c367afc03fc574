//! The transformers that candle has, and the quick one, behind one face: tokens in, a vector for each out.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{self, BertModel};
use candle_transformers::models::modernbert::{self, ModernBert};
use candle_transformers::models::xlm_roberta::{self, XLMRobertaModel};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Says which kind of transformer a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Devlin et al. 2019.
    Bert,
    /// Liu et al. 2019, Conneau et al. 2020: a BERT that counts positions from behind its padding.
    Roberta,
    /// Warner et al. 2024: rotary positions, and attention to neighbours alone in most layers.
    ModernBert,
}

impl Kind {
    /// Reads `config.json`; one that does not say means BERT.
    pub fn of(config: &Value) -> Result<Kind> {
        Ok(match config["model_type"].as_str().unwrap_or("bert") {
            "bert" => Kind::Bert,
            "xlm-roberta" | "roberta" | "camembert" => Kind::Roberta,
            "modernbert" => Kind::ModernBert,
            other => bail!(
                "the model is of type `{other}`, and only `bert`, `xlm-roberta`, `roberta`, `camembert` and `modernbert` can be used"
            ),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bert => "BERT",
            Kind::Roberta => "RoBERTa",
            Kind::ModernBert => "ModernBERT",
        })
    }
}

/// Holds a transformer.
pub struct Transformer {
    model: Model,
    /// The length of a token's vector.
    pub dimension: usize,
    /// The most tokens that it can take.
    pub positions: usize,
}

enum Model {
    Bert(Box<BertModel>),
    Roberta(Box<XLMRobertaModel>),
    ModernBert(Box<ModernBert>),
    #[cfg(target_arch = "x86_64")]
    Quick(Box<super::bert::Bert>),
}

/// Lets one text at a time through candle: its threads for long tensors have those that come at once wait, and burn a core each. It
/// is fair, so that a question gets in between the texts of a long turn.
static CANDLE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Transformer {
    /// Puts the quick form of a BERT together from a file with matrices in Q8_0, where the processor has what it takes.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "there is no quick form here")
    )]
    pub fn quick(file: &'static [u8], config: &Value) -> Result<Option<Transformer>> {
        #[cfg(target_arch = "x86_64")]
        if let Some(processor) = allm_kernel::Processor::detect() {
            let config: bert::Config = read(&completed(Kind::Bert, config)?)?;
            return Ok(Some(Transformer {
                dimension: config.hidden_size,
                positions: config.max_position_embeddings,
                model: Model::Quick(Box::new(super::bert::Bert::new(processor, file, &config)?)),
            }));
        }
        Ok(None)
    }

    /// Puts a transformer together from its weights and its configuration (`config.json`).
    pub fn new(
        kind: Kind,
        weights: HashMap<String, Tensor>,
        config: &Value,
    ) -> Result<Transformer> {
        // They lie under another name in a model that was trained for something else as well.
        let whole = weights.keys().find_map(|name| {
            let (head, tail) = name.split_at(name.find("embeddings.")?);
            let is_word = tail == "embeddings.word_embeddings.weight"
                || tail == "embeddings.tok_embeddings.weight";
            is_word.then(|| head.to_owned())
        });
        let head = whole.unwrap_or_default();
        let named = |(name, tensor): (String, Tensor)| {
            let name = name.strip_prefix(&head).unwrap_or(&name);
            match kind {
                Kind::ModernBert => (format!("model.{name}"), tensor),
                _ => (name.to_owned(), tensor),
            }
        };
        let weights = weights.into_iter().map(named).collect();
        let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        let unread = "cannot read the model's weights";
        Ok(match kind {
            Kind::Bert => {
                let config: bert::Config = read(&completed(kind, config)?)?;
                Transformer {
                    dimension: config.hidden_size,
                    positions: config.max_position_embeddings,
                    model: Model::Bert(Box::new(
                        BertModel::load(weights, &config).context(unread)?,
                    )),
                }
            }
            Kind::Roberta => {
                let config: xlm_roberta::Config = read(&completed(kind, config)?)?;
                let padding = config.pad_token_id as usize;
                Transformer {
                    dimension: config.hidden_size,
                    positions: config.max_position_embeddings.saturating_sub(padding + 1),
                    model: Model::Roberta(Box::new(
                        XLMRobertaModel::new(&config, weights).context(unread)?,
                    )),
                }
            }
            Kind::ModernBert => {
                let config: modernbert::Config = read(&modern(config)?)?;
                Transformer {
                    dimension: config.hidden_size,
                    positions: config.max_position_embeddings,
                    model: Model::ModernBert(Box::new(
                        ModernBert::load(weights, &config).context(unread)?,
                    )),
                }
            }
        })
    }

    /// Returns for each text a vector for each token: shape (tokens, dimensions).
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Vec<Tensor>> {
        let model: &dyn Fn(&Tensor) -> candle_core::Result<Tensor> = match &self.model {
            #[cfg(target_arch = "x86_64")]
            Model::Quick(model) => return model.forward(texts),
            Model::Bert(model) => &|ids| model.forward(ids, &ids.zeros_like()?, None),
            Model::Roberta(model) => &|ids| {
                let (all, types) = (ids.ones_like()?, ids.zeros_like()?);
                model.forward(ids, &all, &types, None, None, None)
            },
            Model::ModernBert(model) => &|ids| model.forward(ids, &ids.ones_like()?),
        };
        let one = |ids: &Vec<u32>| {
            let _alone = CANDLE.blocking_lock();
            let ids = Tensor::new(&**ids, &Device::Cpu)?.unsqueeze(0)?;
            Ok(model(&ids)?.squeeze(0)?)
        };
        texts.iter().map(one).collect()
    }
}

fn read<C: DeserializeOwned>(config: &Value) -> Result<C> {
    C::deserialize(config).context("cannot read the model's configuration")
}

/// Completes the configuration of a BERT or RoBERTa by what may be left out, with the values of transformers.
fn completed(kind: Kind, config: &Value) -> Result<Value> {
    let positions = config["position_embedding_type"].as_str();
    if let Some(other) = positions.filter(|positions| *positions != "absolute") {
        bail!("the model has positions of type `{other}`, and only `absolute` can be used");
    }
    let mut whole = json!({
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "pad_token_id": u8::from(kind == Kind::Roberta),
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
    });
    extend(&mut whole, config);
    if kind == Kind::Bert
        && matches!(
            config["hidden_act"].as_str(),
            Some("gelu_new" | "gelu_pytorch_tanh")
        )
    {
        whole["hidden_act"] = "geluapproximate".into();
    }
    Ok(whole)
}

/// Brings the configuration of a ModernBERT, whose words have changed, into the form that candle reads.
fn modern(config: &Value) -> Result<Value> {
    for part in ["norm_bias", "attention_bias", "mlp_bias"] {
        if config[part] == true {
            bail!("the model has `{part}`, which is not known here");
        }
    }
    let activation = config["hidden_activation"].as_str();
    if let Some(other) = activation.filter(|activation| *activation != "gelu") {
        bail!("the model has `{other}` in its layers, and only `gelu` can be used");
    }
    for part in [
        "/rope_scaling",
        "/rope_parameters/full_attention",
        "/rope_parameters/sliding_attention",
    ] {
        let rotation = config.pointer(part).unwrap_or(&Value::Null);
        let named = rotation["rope_type"].as_str().or(rotation["type"].as_str());
        if let Some(other) = named.filter(|name| *name != "default") {
            bail!("the model has rotary positions of type `{other}`, which is not known here");
        }
    }
    let mut whole = json!({
        "max_position_embeddings": 8192,
        "pad_token_id": 50283,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160_000.0,
        "local_attention": 128,
        "local_rope_theta": 10_000.0,
        "layer_norm_eps": 1e-5,
    });
    extend(&mut whole, config);
    let newer = [
        ("layer_norm_eps", "/norm_eps"),
        (
            "global_rope_theta",
            "/rope_parameters/full_attention/rope_theta",
        ),
        (
            "local_rope_theta",
            "/rope_parameters/sliding_attention/rope_theta",
        ),
    ];
    for (key, newer) in newer {
        if let Some(value) = config.pointer(newer).filter(|value| value.is_number()) {
            whole[key] = value.clone();
        }
    }
    if let Some(layers) = config["layer_types"].as_array() {
        let every = (1..=layers.len()).find(|every| {
            let kind = |index| match index % every {
                0 => "full_attention",
                _ => "sliding_attention",
            };
            layers
                .iter()
                .enumerate()
                .all(|(index, layer)| layer == kind(index))
        });
        let every =
            every.context("the model's kinds of layers follow no order that is known here")?;
        whole["global_attn_every_n_layers"] = every.into();
    }
    Ok(whole)
}

/// Puts what a configuration says in the place of what stands there, unless it says nothing.
fn extend(whole: &mut Value, config: &Value) {
    for (key, value) in config.as_object().into_iter().flatten() {
        if !value.is_null() {
            whole[key] = value.clone();
        }
    }
}
