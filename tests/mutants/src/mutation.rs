use serde_json::{Map, Value, json};

/// `SplitMix64`: the same mutations in every run.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }
}

/// An event with something wrong with it: in its bytes, its attributes, or its payload.
pub fn mutated(dice: &mut Dice, envelope: Map<String, Value>) -> String {
    let mut value = Value::Object(envelope);
    if dice.below(3) == 0 {
        return mutate_bytes(dice, &value.to_string());
    }
    let place = if dice.below(3) == 0 { &mut value } else { &mut value["data"] };
    mutate_value(dice, place);
    value.to_string()
}

/// A value at random, at any depth, and the whole now and then.
fn part<'a>(dice: &mut Dice, value: &'a mut Value) -> &'a mut Value {
    let size = value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), Map::len);
    if size == 0 || dice.below(8) == 0 {
        return value;
    }
    let at = dice.below(size);
    match value {
        Value::Object(fields) => match fields.values_mut().nth(at) {
            Some(field) => part(dice, field),
            None => unreachable!("it was counted"),
        },
        Value::Array(items) => part(dice, &mut items[at]),
        _ => value,
    }
}

pub fn mutate_value(dice: &mut Dice, value: &mut Value) {
    let foreign = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(2.0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("ada, expected bob at line 3"),
        json!([]),
        json!({}),
        json!(["user", ["user"]]),
        json!("9999-12-31T23:59:59.999999999Z"),
        json!("9999-12-31T23:59:59-23:59"),
        json!("0000-01-01T00:00:00Z"),
        json!("0000-01-01T00:00:00+23:59"),
    ];
    match dice.below(5) {
        0 => *part(dice, value) = foreign[dice.below(foreign.len())].clone(),
        1 | 2 => {
            let copied = part(dice, value).clone();
            *part(dice, value) = copied;
        }
        3 => {
            let place = part(dice, value);
            if let Some(text) = place.as_str() {
                *place = Value::from(mutated_text(dice, text));
            }
        }
        _ => {
            let at = dice.roll() as usize;
            if let Value::Object(fields) = &mut *value
                && let Some(name) = fields.keys().nth(at % fields.len().max(1)).cloned()
                && let Some(value) = fields.remove(&name)
                && at.is_multiple_of(3)
            {
                fields.insert(mutated_text(dice, &name), value);
            }
        }
    }
}

fn mutated_text(dice: &mut Dice, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let at = dice.below(letters.len() + 1);
    let new = ['\0', '\n', ' ', '@', '-', '.', 'Z', '0', '9', 'é', '\u{85}', '\u{1f600}', '"', '\\'][dice.below(14)];
    match dice.below(5) {
        0 => letters.insert(at, new),
        1 => letters.truncate(at),
        2 => letters = letters.repeat(dice.below(80)),
        // Long, and of a kind that no index and no column can make small.
        3 => letters.extend((0..dice.below(6_000)).map(|_| char::from(b'!' + dice.below(90) as u8))),
        _ => {
            if let Some(letter) = letters.get_mut(at) {
                *letter = new;
            }
        }
    }
    letters.into_iter().collect()
}

pub fn mutate_bytes(dice: &mut Dice, text: &str) -> String {
    String::from_utf8_lossy(&mutated_bytes(dice, text.as_bytes())).into_owned()
}

/// The same, and text no more than it has to be.
pub fn mutated_bytes(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.roll() as u8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            _ => {
                let to = at + dice.below(bytes.len() - at);
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}
