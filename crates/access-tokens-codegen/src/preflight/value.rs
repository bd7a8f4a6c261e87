//! Values in a specification, defaults and those of enums, which the generator takes for what their schema says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::Preflight;
use crate::pointer::escape;

impl<'a> Preflight<'a> {
    /// A `default` that its schema refuses makes the generator fail, or what it wrote panic wherever the member is left out.
    pub(super) fn values(&mut self, pointer: &str, schema: &'a Value, map: &'a Map<String, Value>) {
        if let Some(default) = map.get("default")
            && let Some(reason) = self.misfit(pointer, schema, default)
        {
            self.find(format!("{pointer}/default"), format!("the default {default} {reason}"));
        }
        for (index, value) in map.get("enum").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let null = value.is_null() && map.get("nullable") != Some(&Value::Bool(true));
            if null || of_another_type(map, value).is_some() {
                let reason = if null { "needs `nullable: true`" } else { "isn't of the schema's type" };
                self.find(format!("{pointer}/enum/{index}"), format!("the value {value} {reason}"));
            }
        }
    }

    /// Why `schema` refuses `value`.
    fn misfit(&mut self, pointer: &str, schema: &'a Value, value: &'a Value) -> Option<String> {
        let node = self.resolve(pointer, schema)?;
        let map = node.value.as_object()?;
        let list = |key: &str| map.get(key).and_then(Value::as_array).map(Vec::as_slice);
        // The generator takes null for a member that isn't there.
        if value.is_null() {
            return None;
        }
        if let Some(reason) = of_another_type(map, value).or_else(|| out_of_bounds(map, value)) {
            return Some(reason);
        }
        if list("enum").is_some_and(|values| !values.contains(value)) {
            return Some("isn't one of the schema's values".to_owned());
        }
        if let (Some(items), Some(schema)) = (value.as_array(), map.get("items")) {
            let reason = items.iter().find_map(|item| self.misfit(&format!("{}/items", node.pointer), schema, item));
            if let Some(reason) = reason {
                return Some(format!("has an item that {reason}"));
            }
        }
        if let Some(members) = value.as_object() {
            let mut required = list("required").into_iter().flatten().filter_map(Value::as_str);
            if let Some(name) = required.find(|name| !members.contains_key(*name)) {
                return Some(format!("has no member `{name}`"));
            }
            let properties = map.get("properties").and_then(Value::as_object);
            for (name, member) in members {
                let declared = properties.and_then(|properties| properties.get(name));
                let Some(schema) = declared.or_else(|| map.get("additionalProperties")) else { continue };
                let place = format!("{}/properties/{}", node.pointer, escape(name));
                if let Some(reason) = self.misfit(&place, schema, member) {
                    return Some(format!("has a member `{name}` that {reason}"));
                }
            }
        }
        let all = list("allOf").into_iter().flatten();
        all.map(|branch| self.misfit(&node.pointer, branch, value)).find(Option::is_some).flatten()
    }
}

fn of_another_type(map: &Map<String, Value>, value: &Value) -> Option<String> {
    let (fits, wanted) = match map.get("type")?.as_str()? {
        "string" => (value.is_string(), "text"),
        "integer" => (value.is_i64() || value.is_u64(), "an integer"),
        "number" => (value.is_number(), "a number"),
        "boolean" => (value.is_boolean(), "true or false"),
        "array" => (value.is_array(), "an array"),
        "object" => (value.is_object(), "an object"),
        _ => return None,
    };
    (!fits && !value.is_null()).then(|| format!("isn't {wanted}"))
}

fn out_of_bounds(map: &Map<String, Value>, value: &Value) -> Option<String> {
    let format = map.get("format").and_then(Value::as_str).unwrap_or_default();
    let format_fits = match (value, format) {
        (Value::Number(number), format) if map.get("type").is_some_and(|kind| kind == "integer") => {
            let number = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            let range = match format {
                "int8" => i8::MIN.into()..=i8::MAX.into(),
                "uint8" => u8::MIN.into()..=u8::MAX.into(),
                "int16" => i16::MIN.into()..=i16::MAX.into(),
                "uint16" => u16::MIN.into()..=u16::MAX.into(),
                "int32" => i32::MIN.into()..=i32::MAX.into(),
                "uint" | "uint32" => u32::MIN.into()..=u32::MAX.into(),
                "uint64" => u64::MIN.into()..=u64::MAX.into(),
                _ => i64::MIN.into()..=i64::MAX.into(),
            };
            number.is_some_and(|number| range.contains(&number))
        }
        (Value::String(text), "ip") => text.parse::<IpAddr>().is_ok(),
        (Value::String(text), "ipv4") => text.parse::<Ipv4Addr>().is_ok(),
        (Value::String(text), "ipv6") => text.parse::<Ipv6Addr>().is_ok(),
        _ => true,
    };
    if !format_fits {
        return Some(format!("doesn't fit `format: {format}`"));
    }
    let bound = |key| map.get(key).and_then(Value::as_f64);
    let (size, least, most) = match value {
        Value::Number(number) => (number.as_f64()?, "minimum", "maximum"),
        // As many as people count, which is what the generated check counts.
        Value::String(text) => (f64::from(u32::try_from(text.chars().count()).ok()?), "minLength", "maxLength"),
        _ => return None,
    };
    if bound(least).is_some_and(|bound| size < bound) {
        return Some(format!("is below `{least}`"));
    }
    bound(most).is_some_and(|bound| size > bound).then(|| format!("is above `{most}`"))
}
