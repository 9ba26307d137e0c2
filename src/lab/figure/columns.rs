//! Where things stand in a figure: on a page, and on a phone.
//!
//! Owns the measures. Knows not what is drawn.

/// Where things stand, in points from the left.
pub struct Columns {
    pub axis: f64,
    /// What is remarked on the axis.
    pub remarks: f64,
    /// The life lines.
    pub client: f64,
    pub server: f64,
    /// The moment of a row ends here; `None`: it has a line of its own above the words.
    pub time: Option<f64>,
    pub words: f64,
    /// How many characters a line of words has, and one below the figure.
    pub line: usize,
    pub legend: usize,
    /// How wide the figure is at least.
    pub least: f64,
}

impl Columns {
    pub fn middle(&self) -> f64 {
        (self.client + self.server) / 2.0
    }
}

pub const WIDE: Columns = Columns {
    axis: 62.0,
    remarks: 80.0,
    client: 206.0,
    server: 446.0,
    time: Some(528.0),
    words: 544.0,
    line: 66,
    legend: 200,
    least: 860.0,
};

/// For a phone: 330 points, which is what is left of 360.
pub const NARROW: Columns = Columns {
    axis: 40.0,
    remarks: 48.0,
    client: 54.0,
    server: 132.0,
    time: None,
    words: 144.0,
    line: 23,
    legend: 46,
    least: 330.0,
};
