//! Records of `wit/v0` ↔ the host's own words. Columns are lent, not copied.

use std::borrow::Cow;

use super::{about, data, filter, injector, transformer};
use crate::column::{Column, Packed, Values};
use crate::{
    Description, Failure, Findings, IdentityRule, Needs, Offer, Output, Parameter, ParameterKind, Read, Rows,
    Rule, Shape, Uniqueness, Verdict, VersionRule,
};

/// The lists of a rule that the record lends.
pub(super) struct RuleLists<'a> {
    settings: Vec<(&'a str, &'a str)>,
    targets: Vec<u16>,
    columns: Vec<data::ColumnInfo<'a>>,
}

impl<'a> RuleLists<'a> {
    pub(super) fn new(rule: &'a Rule) -> Self {
        Self {
            settings: rule.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            targets: rule.targets.iter().map(|at| index(*at)).collect(),
            columns: rule.relation.columns.iter().map(column_info).collect(),
        }
    }

    pub(super) fn rule(&'a self, rule: &'a Rule) -> data::Rule<'a> {
        data::Rule {
            offer: &rule.offer,
            settings: &self.settings,
            table: data::Relation {
                oid: rule.relation.oid,
                id: &rule.relation.id,
                schema: &rule.relation.name.schema,
                name: &rule.relation.name.name,
                version: rule.relation.version,
                columns: &self.columns,
            },
            targets: &self.targets,
            key: &rule.key,
        }
    }
}

/// A table has at most 1,600 columns.
fn index(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

fn column_info(column: &event::Column) -> data::ColumnInfo<'_> {
    data::ColumnInfo {
        name: &column.name,
        id: &column.id,
        type_name: &column.type_name,
        type_oid: column.type_oid,
        nullable: column.nullable,
        primary: column.primary,
        identity: column.identity,
        unique: column.unique,
        generated: column.generated.is_some(),
    }
}

/// The columns of a call, lent.
pub(super) fn columns<'a>(rows: &'a Rows<'_>) -> Vec<data::ColumnParam<'a>> {
    let lend = |packed: &'a Packed<'_>| data::PackedParam { ends: &packed.ends, data: &packed.data };
    rows.columns
        .iter()
        .map(|column| data::ColumnParam {
            at: index(column.at),
            states: &column.states,
            values: match &column.values {
                Values::Text(packed) => data::ValuesParam::Text(lend(packed)),
                Values::Bytes(packed) => data::ValuesParam::Bytes(lend(packed)),
                Values::Ints(values) => data::ValuesParam::Ints(values),
                Values::Floats(values) => data::ValuesParam::Floats(values),
                Values::Bools(values) => data::ValuesParam::Bools(values),
            },
        })
        .collect()
}

pub(super) fn rows<'a>(rows: &'a Rows<'_>, columns: &'a [data::ColumnParam<'a>]) -> data::Rows<'a> {
    data::Rows {
        // A batch has some thousand rows.
        count: u32::try_from(rows.count).unwrap_or(u32::MAX),
        ops: rows.ops,
        committed_at: rows.committed_at,
        nonces: rows.nonces,
        columns,
    }
}

pub(super) fn output(output: transformer::Output) -> Output {
    let failure = |failure: data::Failure| Failure {
        row: failure.row as usize,
        code: failure.code,
        message: failure.message,
    };
    Output {
        columns: output.columns.into_iter().map(column).collect(),
        failures: output.failures.into_iter().map(failure).collect(),
    }
}

fn column(column: data::ColumnResult) -> Column<'static> {
    Column {
        at: usize::from(column.at),
        states: Cow::Owned(column.states),
        values: match column.values {
            data::ValuesResult::Text(values) => Values::Text(packed(values)),
            data::ValuesResult::Bytes(values) => Values::Bytes(packed(values)),
            data::ValuesResult::Ints(values) => Values::Ints(Cow::Owned(values)),
            data::ValuesResult::Floats(values) => Values::Floats(Cow::Owned(values)),
            data::ValuesResult::Bools(values) => Values::Bools(Cow::Owned(values)),
        },
    }
}

pub(super) fn packed(packed: data::PackedResult) -> Packed<'static> {
    Packed { ends: Cow::Owned(packed.ends), data: Cow::Owned(packed.data) }
}

pub(super) fn needs(needs: &transformer::Needs) -> Needs {
    Needs {
        reads: reads(&needs.reads),
        writes: needs.writes.iter().map(|at| usize::from(*at)).collect(),
        nonces: needs.nonces,
    }
}

pub(super) fn verdict(verdict: &filter::Verdict) -> Verdict {
    match verdict {
        filter::Verdict::Keep => Verdict::Keep,
        filter::Verdict::Drop => Verdict::Drop,
        filter::Verdict::SchemaOnly => Verdict::SchemaOnly,
        filter::Verdict::ByRow(columns) => Verdict::ByRow(reads(columns)),
    }
}

pub(super) fn findings(findings: &injector::Findings) -> Findings {
    Findings {
        identity: match &findings.identity {
            injector::Identity::None => IdentityRule::None,
            injector::Identity::Columns(columns) => {
                IdentityRule::Columns(columns.iter().map(|at| usize::from(*at)).collect())
            }
            injector::Identity::Computed(columns) => IdentityRule::Computed(reads(columns)),
        },
        version: match &findings.version {
            injector::Version::CommitLsn => VersionRule::CommitLsn,
            injector::Version::Column(at) => VersionRule::Column(usize::from(*at)),
            injector::Version::Computed(columns) => VersionRule::Computed(reads(columns)),
        },
    }
}

fn reads(reads: &[data::Read]) -> Vec<Read> {
    reads.iter().map(|read| Read { at: usize::from(read.at), shape: shape(read.shape) }).collect()
}

fn shape(shape: data::Shape) -> Shape {
    match shape {
        data::Shape::Text => Shape::Text,
        data::Shape::Bytes => Shape::Bytes,
        data::Shape::Ints => Shape::Ints,
        data::Shape::Floats => Shape::Floats,
        data::Shape::Bools => Shape::Bools,
    }
}

pub(super) fn description(description: about::Description) -> Description {
    let about::Description { name, version, summary, offers } = description;
    Description { name, version, summary, offers: offers.into_iter().map(offer).collect() }
}

fn offer(offer: about::Offer) -> Offer {
    Offer {
        name: offer.name,
        summary: offer.summary,
        accepts: offer.accepts.into_iter().map(shape).collect(),
        uniqueness: match offer.uniqueness {
            about::Uniqueness::Preserved => Uniqueness::Preserved,
            about::Uniqueness::Likely => Uniqueness::Likely,
            about::Uniqueness::Lost => Uniqueness::Lost,
        },
        deterministic: offer.deterministic,
        parameters: offer.parameters.into_iter().map(parameter).collect(),
    }
}

fn parameter(parameter: about::Parameter) -> Parameter {
    Parameter {
        name: parameter.name,
        summary: parameter.summary,
        kind: match parameter.kind {
            about::Kind::Text => ParameterKind::Text,
            about::Kind::Integer => ParameterKind::Integer,
            about::Kind::Number => ParameterKind::Number,
            about::Kind::Flag => ParameterKind::Flag,
            about::Kind::TextList => ParameterKind::TextList,
            about::Kind::Column => ParameterKind::Column,
            about::Kind::Json => ParameterKind::Json,
        },
        required: parameter.required,
        dynamic: parameter.dynamic,
        default: parameter.default,
        one_of: parameter.one_of,
    }
}
