//! How many times what: a ratio over rounds, its spread, and what can be said of it.

/// Ratios of b to a, one of each round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub rounds: usize,
}

impl Ratio {
    /// `None` without rounds, or if a figure is missing.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Ratio> {
        if pairs.is_empty() || pairs.iter().any(|&(a, b)| a <= 0.0 || b <= 0.0) {
            return None;
        }
        let ratios: Vec<f64> = pairs.iter().map(|(a, b)| b / a).collect();
        Some(Ratio {
            median: median(ratios.clone()),
            min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            max: ratios.iter().copied().fold(0.0, f64::max),
            rounds: ratios.len(),
        })
    }

    fn inverse(self) -> Ratio {
        Ratio { median: 1.0 / self.median, min: 1.0 / self.max, max: 1.0 / self.min, ..self }
    }

    /// `2.10 [1.90 … 2.30]`
    pub fn text(self) -> String {
        format!("{:.2} [{:.2} … {:.2}]", self.median, self.min, self.max)
    }

    /// What the processor times say: who needs more, if all rounds agree.
    pub fn sentence(self) -> String {
        let more = |who, whom, ratio: Ratio| match ratio.rounds {
            1 => format!(
                "{who} needs {:.2}x the CPU of {whom}, in the only round: its spread is not known",
                ratio.median
            ),
            rounds => format!(
                "{who} needs {:.2}x the CPU of {whom} [{:.2} … {:.2}], more in each of {rounds} rounds",
                ratio.median, ratio.min, ratio.max
            ),
        };
        if self.min > 1.0 {
            more("b", "a", self)
        } else if self.max < 1.0 {
            more("a", "b", self.inverse())
        } else {
            format!(
                "no difference beyond the spread: b needs {:.2} … {:.2} times the CPU of a",
                self.min, self.max
            )
        }
    }
}

/// 0 without values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(pairs: &[(f64, f64)]) -> String {
        Ratio::of(pairs).unwrap().sentence()
    }

    #[test]
    fn sentences() {
        let text = sentence(&[(100.0, 200.0), (100.0, 190.0), (100.0, 230.0)]);
        assert_eq!(text, "b needs 2.00x the CPU of a [1.90 … 2.30], more in each of 3 rounds");
        let text = sentence(&[(400.0, 100.0), (200.0, 100.0)]);
        assert_eq!(text, "a needs 2.67x the CPU of b [2.00 … 4.00], more in each of 2 rounds");
        let text = sentence(&[(100.0, 90.0), (100.0, 120.0)]);
        assert!(text.starts_with("no difference beyond the spread: b needs 0.90 … 1.20"), "{text}");
        assert!(sentence(&[(100.0, 150.0)]).contains("only round"));
    }

    #[test]
    fn without_figures_there_is_no_ratio() {
        assert_eq!(Ratio::of(&[]), None);
        assert_eq!(Ratio::of(&[(1.0, 1.0), (0.0, 1.0)]), None);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
