//! The positions in a figure: on a page, and on a phone.
//!
//! Owns the measures. Knows nothing of what is drawn.

/// Horizontal positions, in points from the left edge.
pub(in crate::lab) struct Columns {
    pub axis: f64,
    /// Remarks beside the axis.
    pub remarks: f64,
    /// The life lines.
    pub client: f64,
    pub server: f64,
    /// The right edge of a row's time; `None`: the time has a line of its own above the words.
    pub time: Option<f64>,
    pub words: f64,
    /// How many characters fit into a line of words, and into a line of the legend below the figure.
    pub line: usize,
    pub legend: usize,
    /// The minimum width of the figure.
    pub least: f64,
}

impl Columns {
    pub(in crate::lab) fn middle(&self) -> f64 {
        (self.client + self.server) / 2.0
    }
}

pub(in crate::lab) const WIDE: Columns = Columns {
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

/// For a phone: of a screen of 360 points, 330 are available.
pub(in crate::lab) const NARROW: Columns = Columns {
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
