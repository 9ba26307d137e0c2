//! The figure's time axis: from seconds to points, downwards.
//!
//! Owns the one mapping by which everything in the figure is placed, so that an arrow, a tick and the
//! predicted interval can be compared by eye. It is to scale where there is room for it: a moment
//! with many lines is stretched so that they do not overlap, a long silence is shortened. Both are
//! marked on the axis. Knows no entry and no SVG.

/// The longest silence that is drawn to scale, in points, and what a longer one is shortened to.
const LONGEST: f64 = 250.0;
const SHORTENED: f64 = 64.0;

/// A moment that has a place on the axis.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Mark {
    pub seconds: f64,
    /// How much room its line takes before the next one; zero if it has no line.
    pub height: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Pace {
    ToScale,
    Stretched,
    Shortened,
}

/// A part of the axis with one pace.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Stretch {
    pub seconds: (f64, f64),
    pub y: (f64, f64),
    pub pace: Pace,
}

#[derive(Debug)]
pub(in crate::lab) struct Scale {
    pub stretches: Vec<Stretch>,
    /// Where each moment is, in the order in which they were given.
    pub places: Vec<f64>,
    pub bottom: f64,
    per_second: f64,
}

impl Scale {
    /// Places `moments`, which are in order, from `top` downwards.
    pub(in crate::lab) fn new(moments: &[Mark], top: f64, per_second: f64) -> Self {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut places = Vec::with_capacity(moments.len());
        let (mut y, mut room_from, mut before) = (top, top, None);
        for moment in moments {
            let from = (before.unwrap_or(moment.seconds), y);
            let natural = (moment.seconds - from.0).max(0.0) * per_second;
            let pace = if natural > LONGEST { Pace::Shortened } else { Pace::ToScale };
            y += if pace == Pace::Shortened { SHORTENED } else { natural };
            let mut pace = pace;
            if moment.height > 0.0 {
                if y < room_from {
                    (y, pace) = (room_from, if pace == Pace::Shortened { pace } else { Pace::Stretched });
                }
                room_from = y + moment.height;
            }
            if y > from.1 {
                match stretches.last_mut() {
                    Some(last) if last.pace == pace && pace == Pace::ToScale => {
                        (last.seconds.1, last.y.1) = (moment.seconds, y);
                    }
                    _ => stretches.push(Stretch { seconds: (from.0, moment.seconds), y: (from.1, y), pace }),
                }
            }
            places.push(y);
            before = Some(moment.seconds.max(from.0));
        }
        Self { stretches, places, bottom: y.max(room_from), per_second }
    }

    /// Where a time is; one that lies outside the axis is at the nearer end.
    pub(in crate::lab) fn y(&self, seconds: f64) -> f64 {
        let Some(first) = self.stretches.first() else {
            return self.places.first().copied().unwrap_or_default();
        };
        let at = self.stretches.iter().rev().find(|stretch| stretch.seconds.0 <= seconds).unwrap_or(first);
        let (from, to) = at.seconds;
        let part = if to > from { ((seconds - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
        at.y.0 + (at.y.1 - at.y.0) * part
    }

    /// Round times to be written at the axis, each with its place; none within a shortened silence,
    /// and none too close to another.
    pub(in crate::lab) fn ticks(&self) -> Vec<(f64, f64)> {
        let steps = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
        let step = steps.into_iter().find(|step| step * self.per_second >= 36.0).unwrap_or(500.0);
        let (Some(first), Some(last)) = (self.stretches.first(), self.stretches.last()) else {
            return Vec::new();
        };
        let (from, to) = ((first.seconds.0 / step).ceil() as i64, (last.seconds.1 / step).floor() as i64);
        let mut ticks: Vec<(f64, f64)> = Vec::new();
        for seconds in (from..=to.min(from.saturating_add(10_000))).map(|n| n as f64 * step) {
            let y = self.y(seconds);
            let is_shortened = self.stretches.iter().any(|stretch| {
                stretch.pace == Pace::Shortened && stretch.seconds.0 < seconds && seconds < stretch.seconds.1
            });
            if !is_shortened && ticks.last().is_none_or(|(_, last)| y - last >= 16.0) {
                ticks.push((seconds, y));
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(seconds: f64) -> Mark {
        Mark { seconds, height: 20.0 }
    }

    #[test]
    fn to_scale_where_there_is_room() {
        let mark = Mark { seconds: 0.5, height: 0.0 };
        let scale = Scale::new(&[line(0.0), mark, line(1.0), line(1.01), line(2.0)], 10.0, 80.0);
        assert_eq!(scale.places, [10.0, 50.0, 90.0, 110.0, 110.0 + 0.99 * 80.0]);
        let paces: Vec<Pace> = scale.stretches.iter().map(|stretch| stretch.pace).collect();
        assert_eq!(paces, [Pace::ToScale, Pace::Stretched, Pace::ToScale]);
        assert_eq!(scale.y(0.75), 70.0);
        assert_eq!((scale.y(-5.0), scale.y(99.0)), (10.0, scale.places[4]));
    }

    #[test]
    fn a_long_silence_is_shortened() {
        let scale = Scale::new(&[line(0.0), line(100.0), line(101.0)], 0.0, 80.0);
        assert_eq!(scale.places, [0.0, SHORTENED, SHORTENED + 80.0]);
        assert_eq!(scale.stretches[0].pace, Pace::Shortened);
        let ticks: Vec<f64> = scale.ticks().into_iter().map(|(seconds, _)| seconds).collect();
        assert_eq!(ticks, [0.0, 100.0, 100.5, 101.0]);
    }

    proptest! {
        #[test]
        fn lines_never_overlap_and_time_never_runs_back(
            mut times in prop::collection::vec((-100.0..1000.0, prop::bool::ANY), 0..60), per_second in 0.5..100.0,
        ) {
            times.sort_by(|a: &(f64, bool), b| a.0.total_cmp(&b.0));
            let moments: Vec<Mark> = times.iter()
                .map(|&(seconds, has_line)| Mark { seconds, height: if has_line { 20.0 } else { 0.0 } }).collect();
            let scale = Scale::new(&moments, 5.0, per_second);
            let placed: Vec<f64> = scale.places.iter().zip(&moments)
                .filter(|(_, moment)| moment.height > 0.0).map(|(y, _)| *y).collect();
            prop_assert!(placed.windows(2).all(|pair| pair[1] - pair[0] > 19.999));
            prop_assert!(scale.places.is_sorted());
            prop_assert!(scale.ticks().windows(2).all(|pair| pair[1].1 - pair[0].1 > 15.999));
        }
    }
}
