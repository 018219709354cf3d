//! Which way to use when: sentences that follow from the figures, and change when they do.

use crate::{
    claims::{Verdict, ratio_of},
    language::{Language, digits},
    questions::{QUESTIONS, Question, Row},
    results::Results,
};

/// Ways closer than this, by the ratio of their medians, are called equal.
const EQUAL: f64 = 1.15;

/// One sentence, for one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The question it answers.
    pub question: &'static str,
    /// The ways that are best, the fastest first; more than one if they are equal.
    pub best: Vec<String>,
    text: [String; 2],
}

impl Advice {
    /// The sentence.
    pub fn text(&self, language: Language) -> &str {
        language.of(&self.text[0], &self.text[1])
    }
}

/// What follows for each question that advice is given on and that at least two ways were measured
/// for.
pub fn advice(results: &Results) -> Vec<Advice> {
    QUESTIONS.iter().filter_map(|question| advise(question, results)).collect()
}

fn advise(question: &Question, results: &Results) -> Option<Advice> {
    let rows = question.rows(results);
    let choices: Vec<&Row> =
        rows.iter().filter(|row| question.choices.contains(&row.way)).collect();
    let (fastest, slowest) = (choices.first()?, choices.last()?);
    let equal = |row: &&&Row| ratio_of(row.sample, fastest.sample).1 <= EQUAL;
    let best: Vec<&Row> = choices.iter().filter(equal).copied().collect();
    if best.len() == choices.len() {
        return None; // all the same: nothing follows
    }
    let next = choices[best.len()];
    let times = |row: &Row| digits(ratio_of(row.sample, fastest.sample).1);
    let sentence = |language: Language| {
        let name = |row: &Row| row.label(language);
        let names: Vec<String> = best.iter().map(|row| name(row)).collect();
        let names = names.join(language.of(" or ", " 或 "));
        let amount = crate::claims::amount(fastest.sample, fastest.sample.median());
        let (when, one) = (language.say(question.when), language.say(question.one));
        let mut text = language.of(
            format!(
                "When {when}: {names} ({amount} for {one}); {} takes {} times as long",
                name(next),
                times(next)
            ),
            format!(
                "当{when}时：{names}（{one} {amount}）；{}用时是它的 {} 倍",
                name(next),
                times(next)
            ),
        );
        if slowest.way != next.way {
            text += &language.of(
                format!(", {} {} times", name(slowest), times(slowest)),
                format!("，{}是 {} 倍", name(slowest), times(slowest)),
            );
        }
        text + language.of(".", "。")
    };
    let text = [sentence(Language::English), sentence(Language::Chinese)];
    let best = best.iter().map(|row| row.way.to_owned()).collect();
    Some(Advice { question: question.name, best, text })
}

/// How many verdicts of each kind there are: holds, does not, cannot tell.
pub fn count(verdicts: impl Iterator<Item = Verdict>) -> [usize; 3] {
    let mut counts = [0; 3];
    verdicts.for_each(|verdict| counts[verdict as usize] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    fn cpu_bound(serial: f64, threads: f64, one_thread: f64) -> Vec<Advice> {
        let mut results = Results::default();
        for (way, seconds) in
            [("serial", serial), ("threads", threads), ("async_one_thread", one_thread)]
        {
            results.insert(format!("cpu_bound/{way}"), Sample::seconds([seconds]));
        }
        advice(&results)
    }

    #[test]
    fn the_advice_changes_when_the_figures_do() {
        let two_cores = &cpu_bound(2.0, 1.0, 2.1)[0];
        assert_eq!(two_cores.best, ["threads"]);
        let text = two_cores.text(Language::English);
        assert!(text.contains("threads (1.0 s") && text.contains("2.1 times"), "{text}");
        assert_eq!(cpu_bound(1.0, 2.0, 2.0)[0].best, ["serial"]);
        assert_eq!(cpu_bound(1.1, 1.0, 2.0)[0].best, ["threads", "serial"]);
    }

    #[test]
    fn nothing_follows_from_equal_figures_or_from_none() {
        assert_eq!(cpu_bound(1.0, 1.01, 1.02), []);
        assert_eq!(advice(&Results::default()), []);
    }

    #[test]
    fn verdicts_are_counted_by_kind() {
        let verdicts = [Verdict::Holds, Verdict::CannotTell, Verdict::Holds];
        assert_eq!(count(verdicts.into_iter()), [2, 0, 1]);
    }
}
