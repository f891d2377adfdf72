//! The example file, and files with mistakes.

use std::cell::RefCell;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{IntoDeserializer, Visitor};

use super::*;

const EXAMPLE: &str = include_str!("../../../docs/types.yaml");

fn read(yaml: &str) -> (Result<Definitions, String>, Violations) {
    let (mut violations, mut field) = (Violations::default(), String::new());
    let definitions = serde_saphyr::with_deserializer_from_str(yaml, |from| {
        Definitions::read(from, &mut violations, &mut field)
    });
    (definitions.map_err(|error| format!("{field}: {error}")), violations)
}

fn example() -> Definitions {
    let (definitions, violations) = read(EXAMPLE);
    // It is opaque, and whoever applies the file takes it from there.
    assert_eq!(fields(&violations), ["types[0].defaults.payload"]);
    definitions.unwrap()
}

fn fields(violations: &Violations) -> Vec<&str> {
    violations.as_slice().iter().map(|violation| violation.field.as_str()).collect()
}

#[test]
fn the_example_is_good() {
    let definitions = example();
    let mut violations = Violations::default();
    definitions.validate(&mut violations);
    for definition in &definitions.types {
        definition.validate_quotas(&definitions.quotas, "", &mut violations);
    }
    assert_eq!(violations.as_slice(), []);
    assert_eq!((definitions.types.len(), definitions.queues.len()), (3, 2));
    let rules = &definitions.types[0].retry_rules;
    assert_eq!((rules[0].delays.len(), rules[2].retry), (4, false));
}

/// The keys of a value, those of values in it with a dot: what a file has to say to show everything.
fn keys(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                keys(value, &path, found);
                found.insert(path);
            }
        }
        serde_json::Value::Array(values) => {
            for value in values {
                keys(value, path, found);
            }
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// Reads a value as a type asks for it, and notes the fields that it asks for.
struct Probe<'a> {
    value: &'a serde_json::Value,
    path: String,
    asked: &'a RefCell<BTreeSet<String>>,
}

impl<'a> Probe<'a> {
    fn inner(&self, value: &'a serde_json::Value, key: Option<&str>) -> Self {
        let path = key.map_or_else(|| self.path.clone(), |key| format!("{}.{key}", self.path));
        Self { value, path, asked: self.asked }
    }
}

impl<'de> Deserializer<'de> for Probe<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.value {
            serde_json::Value::Object(fields) => {
                let inner = |(key, value): (&'de String, &'de serde_json::Value)| {
                    (key.as_str(), self.inner(value, Some(key)))
                };
                visitor.visit_map(MapDeserializer::new(fields.iter().map(inner)))
            }
            serde_json::Value::Array(values) => {
                let inner = values.iter().map(|value| self.inner(value, None));
                visitor.visit_seq(SeqDeserializer::new(inner))
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => self.value.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let paths = fields.iter().map(|field| format!("{}.{field}", self.path));
        self.asked.borrow_mut().extend(paths);
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for Probe<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[test]
fn the_example_shows_every_field_there_is() {
    let tree: serde_json::Value = serde_saphyr::from_str(EXAMPLE).unwrap();
    let asked = RefCell::default();
    let read = Definitions::deserialize(Probe { value: &tree, path: String::new(), asked: &asked });
    assert_eq!(read.unwrap(), example());
    let (mut shown, asked) = (BTreeSet::new(), asked.into_inner());
    keys(&tree, "", &mut shown);
    assert!(asked.contains(".types.retry_rules.change.queue"), "{asked:?}");
    // One queue shows the fields of all, and the breaker of a type those of the server's.
    let alike = |path: &String| {
        let path = path.replace(".queues.interactive.", ".queues.bulk.");
        path.replace(".defaults.circuit.", ".types.circuit.")
    };
    let missing: Vec<_> = asked.iter().filter(|path| !shown.contains(&alike(path))).collect();
    assert!(missing.is_empty(), "docs/types.yaml shows no {missing:?}");
}

#[test]
fn what_the_example_says_is_written_and_read_again() {
    let definitions = example();
    let json = serde_json::to_value(&definitions).unwrap();
    let mut violations = Violations::default();
    let again = Definitions::read(json.clone(), &mut violations, &mut String::new()).unwrap();
    assert_eq!((again, violations.is_empty()), (definitions, true));
    // Fields that are left out where they say nothing are in the file, too.
    let mut written = BTreeSet::new();
    keys(&json, "", &mut written);
    for key in
        [".types.schedule.cron", ".types.schedule.interval", ".types.retry_rules.change.queue"]
    {
        assert!(written.contains(key), "{key} of {written:?}");
    }
}

#[test]
fn keys_that_mean_nothing_are_named_all_at_once() {
    let (definitions, violations) = read(
        "quota: {}\ntypes:\n  - type: a\n    schedul: {}\n    schedule: {cron: '@daily', zone: UTC}\n",
    );
    assert!(definitions.is_ok());
    assert_eq!(fields(&violations), ["quota", "types[0].schedul", "types[0].schedule.zone"]);
}

#[test]
fn fields_that_are_wrong_are_named_all_at_once() {
    let (definitions, mut violations) = read(
        "defaults: {circuit: {max_failures: 101}, max_pending: 99999999}\nquotas: {q: {limit: 0}}\n\
         queues: {'-': {weight: 5000}}\ntypes: [{type: a}, {type: a, max_concurrent: 99999999}]\n",
    );
    let definitions = definitions.unwrap();
    definitions.validate(&mut violations);
    let wanted = [
        "defaults.circuit.max_failures",
        "defaults.max_pending",
        "quotas.q.limit",
        "queues.-",
        "queues.-.weight",
        "types[1].max_concurrent",
        "types[1].type",
    ];
    assert_eq!(fields(&violations), wanted);
}

#[test]
fn a_cost_needs_a_quota_that_can_bear_it() {
    let mut definitions = example();
    let youtube = QuotaName::new("youtube").unwrap();
    let costs = &mut definitions.types[0].quota_costs;
    costs.insert(youtube, 10_001);
    costs.insert(QuotaName::new("other").unwrap(), 1);
    let mut violations = Violations::default();
    definitions.types[0].validate_quotas(&definitions.quotas, "types[0].", &mut violations);
    let wanted = ["types[0].quota_costs[\"other\"]", "types[0].quota_costs[\"youtube\"]"];
    assert_eq!(fields(&violations), wanted);
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_their_place() {
    for (yaml, said) in [
        ("types: [{type: a, schedule: {interval: soon}}]", "soon"),
        ("types: [{type: a, schedule: {cron: '@daily', overlap_policy: maybe}}]", "QUEUE_ONE"),
        ("types: [{type: a, max_concurrent: -1}]", "types[0].max_concurrent: "),
        ("types: [{}]", "type"),
        ("quotas: {q: {limit: 1, period: fortnight}}", "HOUR, DAY, WEEK, MONTH"),
    ] {
        let error = read(yaml).0.unwrap_err();
        assert!(error.contains(said), "{yaml}: {error}");
    }
}
