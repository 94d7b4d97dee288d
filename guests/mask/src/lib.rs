//! The standard transformers that hide a value: under their names in pgstream, and one that leaves NULL.

mod masking;
mod offers;
mod siv;
mod work;

use offers::OFFERS;
use settings::{Kind, Parameter, Settings};
use work::Work;

/// What `wit-bindgen` makes of the contract.
#[allow(unreachable_pub, unused)]
mod contract {
    wit_bindgen::generate!({ path: "../../wit/v0", world: "transformer-plugin" });
}

use contract::exports::pgstream::plugin::about::{self, Description};
use contract::exports::pgstream::plugin::transformer::{
    self, GuestTransform, Needs, Output, Read, Rows, Rule,
};

struct Mask;

/// One rule on one version of one table.
struct Transform(Work);

impl about::Guest for Mask {
    fn describe() -> Description {
        Description {
            name: "mask".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: env!("CARGO_PKG_DESCRIPTION").into(),
            offers: OFFERS.iter().map(offer).collect(),
        }
    }
}

fn offer(offer: &offers::Offer) -> about::Offer {
    about::Offer {
        name: offer.name.into(),
        summary: offer.summary.into(),
        accepts: offer.accepts.to_vec(),
        uniqueness: offer.uniqueness,
        deterministic: true,
        parameters: offer.parameters.iter().map(parameter).collect(),
    }
}

fn parameter(parameter: &Parameter) -> about::Parameter {
    about::Parameter {
        name: parameter.name.into(),
        summary: parameter.summary.into(),
        kind: match parameter.kind {
            Kind::Text => about::Kind::Text,
            Kind::TextList => about::Kind::TextList,
            Kind::Column => about::Kind::Column,
        },
        required: parameter.required,
        dynamic: false,
        default: parameter.default.map(Into::into),
        one_of: parameter.one_of_json(),
    }
}

impl transformer::Guest for Mask {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(rule: Rule) -> Result<(transformer::Transform, Needs), String> {
        let (transform, needs) = bind(&rule)?;
        Ok((transformer::Transform::new(transform), needs))
    }

    fn apply(&self, rows: Rows) -> Result<Output, String> {
        apply(&self.0, rows)
    }
}

fn bind(rule: &Rule) -> Result<(Transform, Needs), String> {
    let Some(offer) = OFFERS.iter().find(|offer| offer.name == rule.offer) else {
        let known: Vec<_> = OFFERS.iter().map(|offer| offer.name).collect();
        return Err(format!("mask has no offer \"{}\": it has {}", rule.offer, known.join(", ")));
    };
    let settings = Settings::read(offer.name, offer.parameters, &rule.settings)?;
    let mut reads = Vec::with_capacity(rule.targets.len());
    for &at in &rule.targets {
        let Some(column) = rule.table.columns.get(usize::from(at)) else {
            return Err(format!(
                "{}: the rule is for column {at}, which the table does not have",
                offer.name
            ));
        };
        reads.push(Read { at, shape: (offer.shape)(offer.name, column)? });
    }
    let work = (offer.work)(offer.name, &settings)?;
    if let Work::Mask(masking) = &work
        && let Some(exposed) = masking.exposes()
    {
        note(exposed);
    }
    if matches!(work, Work::Keep) {
        // Asks for nothing, so that the host need not call it.
        return Ok((Transform(work), Needs { reads: Vec::new(), writes: Vec::new(), nonces: false }));
    }
    Ok((Transform(work), Needs { reads, writes: rule.targets.clone(), nonces: false }))
}

fn apply(work: &Work, rows: Rows) -> Result<Output, String> {
    let count = rows.count;
    let columns =
        rows.columns.into_iter().map(|column| work.apply(count, column)).collect::<Result<_, _>>()?;
    Ok(Output { columns, failures: Vec::new() })
}

/// Tells the user, once for each version of a table. A native test has no host to tell.
fn note(message: &str) {
    #[cfg(target_arch = "wasm32")]
    contract::pgstream::plugin::host::log(contract::pgstream::plugin::host::Level::Info, message);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = message;
}

#[cfg(target_arch = "wasm32")]
contract::export!(Mask with_types_in contract);

#[cfg(test)]
mod tests;
