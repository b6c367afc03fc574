//! What stands behind a transformer: how the vectors of the tokens become one, and layers after that.

use std::fmt;

use anyhow::{Context, Result, bail};
use candle_core::Tensor;
use candle_nn::{Linear, Module};
use serde_json::Value;

/// Says how the vectors of the tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over the tokens (Reimers and Gurevych 2019, Sentence-BERT).
    Mean,
    /// The vector of the first token, `[CLS]`.
    Cls,
    /// The greatest number of each dimension.
    Max,
    /// The vector of the last token.
    Last,
}

/// The names of the ways to pool, as newer files and as older ones have them; `None` for one that is not known here.
const POOLINGS: [(&str, &str, Option<Pooling>); 6] = [
    ("mean", "pooling_mode_mean_tokens", Some(Pooling::Mean)),
    ("cls", "pooling_mode_cls_token", Some(Pooling::Cls)),
    ("max", "pooling_mode_max_tokens", Some(Pooling::Max)),
    ("lasttoken", "pooling_mode_lasttoken", Some(Pooling::Last)),
    (
        "mean_sqrt_len_tokens",
        "pooling_mode_mean_sqrt_len_tokens",
        None,
    ),
    ("weightedmean", "pooling_mode_weightedmean_tokens", None),
];

impl Pooling {
    /// Reads the configuration of a pooling; one that says nothing means the mean.
    pub fn of(config: &Value) -> Result<Pooling> {
        let named = match &config["pooling_mode"] {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => POOLINGS
                .iter()
                .filter(|(_, flag, _)| config[flag] == true)
                .map(|&(name, ..)| name)
                .collect(),
        };
        let known = |wanted: &str| POOLINGS.iter().find(|(name, ..)| *name == wanted)?.2;
        match named[..] {
            [] => Ok(Pooling::Mean),
            [name] if let Some(pooling) = known(name) => Ok(pooling),
            _ => bail!(
                "the model pools by `{}`, and only one of `mean`, `cls`, `max` and `lasttoken` is known here",
                named.join("`, `")
            ),
        }
    }

    /// Makes one vector of those of the tokens: shape (tokens, dimensions).
    pub fn pool(self, tokens: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Pooling::Mean => tokens.mean(0)?,
            Pooling::Cls => tokens.get(0)?,
            Pooling::Max => tokens.max(0)?,
            Pooling::Last => tokens.get(tokens.dim(0)? - 1)?,
        })
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Max => "max",
            Pooling::Last => "lasttoken",
        })
    }
}

/// Says what a dense layer does with its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Identity,
    Tanh,
    Relu,
    Gelu,
}

impl Activation {
    /// Reads the configuration of a dense layer; one that says nothing means the hyperbolic tangent.
    pub fn of(config: &Value) -> Result<Activation> {
        let input = config["module_input_name"].as_str();
        if let Some(input) = input.filter(|input| *input != "sentence_embedding") {
            bail!("the model has a dense layer on `{input}`, which is not known here");
        }
        let Some(name) = config["activation_function"].as_str() else {
            return Ok(Activation::Tanh);
        };
        Ok(match name.rsplit('.').next().unwrap_or_default() {
            "Identity" => Activation::Identity,
            "Tanh" => Activation::Tanh,
            "ReLU" => Activation::Relu,
            "GELU" => Activation::Gelu,
            _ => bail!("the model has a dense layer with `{name}`, which is not known here"),
        })
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activation::Identity => "identity",
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
            Activation::Gelu => "gelu",
        })
    }
}

/// Works on the pooled vector.
pub enum Layer {
    Dense(Linear, Activation),
    Normalize,
}

impl Layer {
    /// Returns the length of the vectors that come out, where the layer changes it.
    pub fn dimension(&self) -> Option<usize> {
        match self {
            Layer::Dense(linear, _) => linear.weight().dim(0).ok(),
            Layer::Normalize => None,
        }
    }

    /// Returns what the layer makes of a vector.
    pub fn forward(&self, vector: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Layer::Normalize => {
                let length = vector.sqr()?.sum_all()?.sqrt()?;
                vector.broadcast_div(&length)?
            }
            Layer::Dense(linear, activation) => {
                let sums = linear.forward(&vector.unsqueeze(0)?)?.squeeze(0);
                let sums = sums.context("the vector does not fit the dense layer")?;
                match activation {
                    Activation::Identity => sums,
                    Activation::Tanh => sums.tanh()?,
                    Activation::Relu => sums.relu()?,
                    Activation::Gelu => sums.gelu_erf()?,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(config: Value, expected: Option<Pooling>) {
        assert_eq!(Pooling::of(&config).ok(), expected, "{config}");
    }

    #[test]
    fn a_pooling_is_known_or_refused() {
        check(Value::Null, Some(Pooling::Mean));
        check(
            json!({"pooling_mode_cls_token": false}),
            Some(Pooling::Mean),
        );
        check(json!({"pooling_mode_cls_token": true}), Some(Pooling::Cls));
        check(json!({"pooling_mode_max_tokens": true}), Some(Pooling::Max));
        check(json!({"pooling_mode_lasttoken": true}), Some(Pooling::Last));
        check(json!({"pooling_mode": "cls"}), Some(Pooling::Cls));
        check(json!({"pooling_mode": ["mean"]}), Some(Pooling::Mean));
        check(json!({"pooling_mode": ["mean", "cls"]}), None);
        check(json!({"pooling_mode": "median"}), None);
        check(json!({"pooling_mode_weightedmean_tokens": true}), None);
        check(
            json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}),
            None,
        );
    }
}
