//! The document of the rows about serde.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Document {
    pub title: String,
    pub records: Vec<Record>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Record {
    pub id: u32,
    pub score: f64,
}

pub fn document() -> Document {
    Document {
        title: "records".into(),
        records: (0..100)
            .map(|id| Record {
                id,
                score: f64::from(id) / 2.0,
            })
            .collect(),
    }
}
