//! Nested JSON objects out of flat fields: `address.city` becomes `{"address":{"city":…}}`, and
//! `items[].sku` beside `items[].quantity` becomes `{"items":[{"sku":…,"quantity":…},…]}`.

use std::collections::HashMap;

use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

use crate::batch::Reason;
use crate::value::{FieldRef, Fields, ValueRef, write_field_json, write_json_str};

/// Where the fields of a sync stand in a JSON object.
#[derive(Clone, Debug)]
pub struct Nest {
    root: Vec<Member>,
    /// The places of fields that are lists.
    lists: Vec<usize>,
    flat: bool,
}

/// A target that is no path, or that stands in the way of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// Place of the target.
    pub target: usize,
    /// Place of the earlier target that it collides with.
    pub other: Option<usize>,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
}

#[derive(Clone, Debug)]
struct Member {
    name: String,
    /// The name as JSON between a comma and a colon; the first member of an object goes without the comma.
    label: Vec<u8>,
    node: Node,
    /// The first target that made it.
    target: usize,
}

#[derive(Clone, Debug)]
enum Node {
    /// The value of a field; inside a list, one of its items.
    Field(usize),
    /// An object.
    Object(Vec<Member>),
    /// A list: of the items of one field, or of objects, made from those of several fields side by side.
    List(Box<Node>),
}

/// One part of a path: a name, perhaps of a list (`items[]`).
struct Part<'a> {
    name: &'a str,
    list: bool,
}

impl Nest {
    /// Reads the targets: names joined by dots, at most one of them a list (`items[].sku`, `tags[]`).
    ///
    /// # Errors
    /// Every target that is no path, is there twice, or is a value and an object at once.
    pub fn compile<T: AsRef<str>>(targets: &[T]) -> Result<Self, Vec<PathError>> {
        let mut nest = Self { root: Vec::new(), lists: Vec::new(), flat: true };
        let mut errors = Vec::new();
        for (target, text) in targets.iter().enumerate() {
            let added =
                parts(text.as_ref()).map_err(|message| PathError { target, other: None, message }).and_then(|path| {
                    nest.lists.extend(path.iter().any(|part| part.list).then_some(target));
                    nest.flat &= matches!(path.as_slice(), [Part { list: false, .. }]);
                    insert(&mut nest.root, &path, target, targets)
                });
            errors.extend(added.err());
        }
        if errors.is_empty() { Ok(nest) } else { Err(errors) }
    }

    /// Refuses a row whose lists cannot be put side by side: `items[].sku` of three items with
    /// `items[].quantity` of two.
    ///
    /// # Errors
    /// `UNEQUAL_LISTS`, naming the list.
    pub fn check<'a, T: Into<FieldRef<'a>>>(&self, fields: impl IntoIterator<Item = T>) -> Result<(), Reason> {
        if self.lists.is_empty() {
            return Ok(());
        }
        Cells::of(self, fields.into_iter().map(Into::into)).check(&self.root)
    }

    /// Appends a row as one JSON object. `Skip` is left out, `Clear` is null; an object or list all of
    /// whose fields are left out is left out too.
    pub fn write_json(&self, fields: &Fields, out: &mut Vec<u8>) {
        if !self.flat {
            Cells::of(self, fields.iter()).write_object(&self.root, None, out);
            return;
        }
        // The members are the fields, in their order: each is written as it is read.
        out.push(b'{');
        let (start, mut rest) = (out.len(), fields.encoded());
        for member in &self.root {
            let before = out.len();
            out.extend_from_slice(&member.label[usize::from(before == start)..]);
            if write_field_json(&mut rest, out) != Some(true) {
                out.truncate(before);
            }
        }
        out.push(b'}');
    }
}

fn parts(target: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    for text in target.split('.') {
        let (name, list) = text.strip_suffix("[]").map_or((text, false), |name| (name, true));
        if name.is_empty() {
            return Err(format!("`{target}` has an empty part"));
        }
        if name.contains(['[', ']']) {
            return Err(format!("`{target}` has brackets that are not `[]` at the end of a part"));
        }
        parts.push(Part { name, list });
    }
    if parts.iter().filter(|part| part.list).count() > 1 {
        return Err(format!("`{target}` has a list inside a list, which fields cannot express"));
    }
    Ok(parts)
}

fn insert<T: AsRef<str>>(
    members: &mut Vec<Member>,
    path: &[Part<'_>],
    target: usize,
    targets: &[T],
) -> Result<(), PathError> {
    let Some((part, rest)) = path.split_first() else { return Ok(()) };
    let at = members.iter().position(|member| member.name == part.name).unwrap_or_else(|| {
        let mut label = Vec::with_capacity(part.name.len() + 4);
        label.push(b',');
        write_json_str(part.name, &mut label);
        label.push(b':');
        let node = if rest.is_empty() { Node::Field(target) } else { Node::Object(Vec::new()) };
        let node = if part.list { Node::List(Box::new(node)) } else { node };
        members.push(Member { name: part.name.to_owned(), label, node, target });
        members.len() - 1
    });
    let member = &mut members[at];
    let is_list = matches!(member.node, Node::List(_));
    let node = match (&mut member.node, part.list) {
        (Node::List(inner), true) => &mut **inner,
        (node, _) => node,
    };
    match node {
        Node::Field(own) if *own == target => Ok(()),
        Node::Object(inner) if part.list == is_list && !rest.is_empty() => insert(inner, rest, target, targets),
        _ => {
            let (this, other) = (targets[target].as_ref(), targets[member.target].as_ref());
            let message = if this == other {
                format!("`{this}` is there twice")
            } else {
                format!("`{this}` and `{other}` make `{}` two things at once", part.name)
            };
            Err(PathError { target, other: Some(member.target), message })
        }
    }
}

/// The fields of a row, and the items of those that are lists.
struct Cells<'a> {
    fields: Vec<FieldRef<'a>>,
    lists: HashMap<usize, Items<'a>>,
}

impl<'a> Cells<'a> {
    fn of(nest: &Nest, fields: impl Iterator<Item = FieldRef<'a>>) -> Self {
        let fields: Vec<_> = fields.collect();
        let list = |place: &usize| Some((*place, items(*fields.get(*place)?)?));
        Self { lists: nest.lists.iter().filter_map(list).collect(), fields }
    }

    /// Writes the members that have something to say; `false` where none had. `item` is the place in a list.
    fn write_object(&self, members: &[Member], item: Option<usize>, out: &mut Vec<u8>) -> bool {
        let mut any = false;
        out.push(b'{');
        for member in members {
            let start = out.len();
            out.extend_from_slice(&member.label[usize::from(!any)..]);
            if self.write(&member.node, item, out) {
                any = true;
            } else {
                out.truncate(start);
            }
        }
        out.push(b'}');
        any
    }

    /// `false` where there is nothing to write.
    fn write(&self, node: &Node, item: Option<usize>, out: &mut Vec<u8>) -> bool {
        match node {
            Node::Field(place) => match self.said(*place, item) {
                FieldRef::Skip => return false,
                FieldRef::Clear => out.extend_from_slice(b"null"),
                FieldRef::Set(value) => value.write_json(out),
            },
            Node::Object(members) => return self.write_object(members, item, out),
            Node::List(inner) => {
                let lengths = self.lengths(inner);
                match lengths.iter().flatten().max() {
                    _ if lengths.is_empty() => return false,
                    None => out.extend_from_slice(b"null"),
                    Some(most) => {
                        out.push(b'[');
                        for item in 0..*most {
                            if item > 0 {
                                out.push(b',');
                            }
                            self.write(inner, Some(item), out);
                        }
                        out.push(b']');
                    }
                }
            }
        }
        true
    }

    /// What a field says. In a list, what it says of one item: an absent list gives nulls, a shorter one leaves the field
    /// out.
    fn said(&self, place: usize, item: Option<usize>) -> FieldRef<'a> {
        let field = match item {
            None => self.fields.get(place).copied(),
            Some(item) => self.lists.get(&place).and_then(|list| match list {
                None => Some(FieldRef::Clear),
                Some(items) => items.get(item).copied().map(FieldRef::Set),
            }),
        };
        field.unwrap_or(FieldRef::Skip)
    }

    /// How many items the lists of a node have that are not left out; `None` is NULL.
    fn lengths(&self, node: &Node) -> Vec<Option<usize>> {
        match node {
            Node::Field(field) => {
                self.lists.get(field).map(|list| list.as_ref().map(SmallVec::len)).into_iter().collect()
            }
            Node::Object(members) => members.iter().flat_map(|member| self.lengths(&member.node)).collect(),
            Node::List(inner) => self.lengths(inner),
        }
    }

    fn check(&self, members: &[Member]) -> Result<(), Reason> {
        for member in members {
            match &member.node {
                Node::Field(_) => {}
                Node::Object(inner) => self.check(inner)?,
                Node::List(inner) => {
                    let lengths: Vec<usize> = self.lengths(inner).into_iter().flatten().collect();
                    if let Some([first, other]) = lengths.array_windows().find(|[a, b]| a != b) {
                        let name = &member.name;
                        let text = format!("the lists behind `{name}[]` have {first} and {other} items");
                        return Err(Reason::new("UNEQUAL_LISTS", text));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The items of one field's value; `None` is NULL. Short lists are held in place.
type Items<'a> = Option<SmallVec<[ValueRef<'a>; 4]>>;

/// A value that is no list is a list of one; `None` where the field is left out.
fn items(field: FieldRef<'_>) -> Option<Items<'_>> {
    Some(match field {
        FieldRef::Skip => return None,
        FieldRef::Clear | FieldRef::Set(ValueRef::Null) => None,
        FieldRef::Set(ValueRef::Array(items)) => Some(items.iter().collect()),
        FieldRef::Set(ValueRef::Json(text)) if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) => {
            Some(items.into_iter().map(|item| ValueRef::Json(item.get())).collect())
        }
        FieldRef::Set(value) => Some(smallvec![value]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{FieldValue, Value};

    fn text(value: &str) -> FieldValue {
        FieldValue::Set(Value::Text(value.to_owned()))
    }

    fn ints(values: &[i64]) -> FieldValue {
        FieldValue::Set(Value::Array(values.iter().map(|n| Value::Int(*n)).collect()))
    }

    fn json(targets: &[&str], values: &[FieldValue]) -> String {
        let mut out = Vec::new();
        Nest::compile(targets).unwrap().write_json(&values.iter().collect(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_become_objects_in_the_order_of_the_fields() {
        let out = json(
            &["email", "address.city", "plan", "address.geo.lat"],
            &[text("a@b.c"), text("Köln"), FieldValue::Clear, FieldValue::Set(Value::Float(50.9))],
        );
        assert_eq!(out, r#"{"email":"a@b.c","address":{"city":"Köln","geo":{"lat":50.9}},"plan":null}"#);
    }

    #[test]
    fn what_is_skipped_is_left_out_with_its_empty_parents() {
        let out = json(&["a", "b.c", "b.d.e"], &[FieldValue::Set(Value::Null), FieldValue::Skip, FieldValue::Skip]);
        assert_eq!(out, r#"{"a":null}"#);
        assert_eq!(json(&["a"], &[FieldValue::Skip]), "{}");
    }

    #[test]
    fn lists_stand_side_by_side() {
        let skus = FieldValue::Set(Value::Json(r#"["x", {"y":1}]"#.into()));
        let out = json(&["items[].sku", "items[].n.quantity", "tags[]"], &[skus, ints(&[3, 4]), text("one")]);
        assert_eq!(
            out,
            r#"{"items":[{"sku":"x","n":{"quantity":3}},{"sku":{"y":1},"n":{"quantity":4}}],"tags":["one"]}"#
        );
        let cleared = json(&["items[].sku", "tags[]"], &[FieldValue::Clear, FieldValue::Set(Value::Null)]);
        assert_eq!(cleared, r#"{"items":null,"tags":null}"#);
        assert_eq!(json(&["items[].sku"], &[ints(&[])]), r#"{"items":[]}"#);
    }

    #[test]
    fn lists_of_different_lengths_refuse_the_row() {
        let nest = Nest::compile(&["items[].sku", "items[].quantity"]).unwrap();
        let reason = nest.check(&[ints(&[1, 2, 3]), ints(&[1, 2])]).unwrap_err();
        assert_eq!(
            (reason.code.as_str(), reason.text.as_str()),
            ("UNEQUAL_LISTS", "the lists behind `items[]` have 3 and 2 items")
        );
        assert_eq!(nest.check(&[ints(&[1, 2]), FieldValue::Clear]), Ok(()));
    }

    #[test]
    fn collisions_and_broken_paths_are_all_found() {
        let errors =
            Nest::compile(&["address", "address.city", "a..b", "x[0]", "l[].m[].n", "t[]", "t", "email", "email"])
                .unwrap_err();
        let found: Vec<(usize, Option<usize>)> = errors.iter().map(|e| (e.target, e.other)).collect();
        assert_eq!(found, [(1, Some(0)), (2, None), (3, None), (4, None), (6, Some(5)), (8, Some(7))]);
        assert_eq!(errors[0].message, "`address.city` and `address` make `address` two things at once");
        assert_eq!(errors[5].message, "`email` is there twice");
        assert!(!Nest::compile(&["a", "b.c"]).unwrap().flat);
        assert!(Nest::compile(&["a", "b"]).unwrap().flat);
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(json(&["a\"b"], &[text("x")]), r#"{"a\"b":"x"}"#);
    }
}
