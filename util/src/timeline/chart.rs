//! The record and the chart that is read from it.

use crate::text::visible;

/// What a span was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work.
    Run,
    /// Waiting, for a lock or for a message.
    Wait,
    /// Holding a lock.
    Hold,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Run, Kind::Hold, Kind::Wait];

    /// One word: in the record, and for people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Run => "runs",
            Kind::Hold => "holds",
            Kind::Wait => "waits",
        }
    }
}

/// One line of the record. Rows and spans are numbered within their process.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Process {
        name: String,
    },
    Row {
        row: u64,
        name: String,
    },
    /// A row below that of the thread which made it.
    Task {
        row: u64,
        thread: u64,
        name: String,
    },
    Begin {
        row: u64,
        span: u64,
        kind: Kind,
        name: String,
    },
    End {
        span: u64,
    },
    Mark {
        row: u64,
        text: String,
    },
    Ended,
}

impl Event {
    /// `time process word …`, with tabs between and a name, if there is one, last.
    pub(super) fn to_line(&self, time: u64, process: u32) -> String {
        let rest = match self {
            Event::Process { name } => format!("process\t{}", visible(name)),
            Event::Row { row, name } => format!("row\t{row}\t{}", visible(name)),
            Event::Task { row, thread, name } => {
                format!("task\t{row}\t{thread}\t{}", visible(name))
            }
            Event::Begin { row, span, kind, name } => {
                format!("{}\t{row}\t{span}\t{}", kind.word(), visible(name))
            }
            Event::End { span } => format!("end\t{span}"),
            Event::Mark { row, text } => format!("mark\t{row}\t{}", visible(text)),
            Event::Ended => "ended".into(),
        };
        format!("{time}\t{process}\t{rest}\n")
    }

    fn from_line(line: &str) -> Option<(u64, u32, Event)> {
        let mut words = line.splitn(4, '\t');
        let time = words.next()?.parse().ok()?;
        let process = words.next()?.parse().ok()?;
        let word = words.next()?;
        let rest = words.next().unwrap_or("");
        let event = match word {
            "process" => Event::Process { name: rest.into() },
            "ended" => Event::Ended,
            "end" => Event::End { span: rest.parse().ok()? },
            "row" | "mark" => {
                let (row, text) = rest.split_once('\t')?;
                let (row, text) = (row.parse().ok()?, text.to_owned());
                match word {
                    "row" => Event::Row { row, name: text },
                    _ => Event::Mark { row, text },
                }
            }
            "task" => {
                let mut words = rest.splitn(3, '\t');
                Event::Task {
                    row: words.next()?.parse().ok()?,
                    thread: words.next()?.parse().ok()?,
                    name: words.next()?.into(),
                }
            }
            _ => {
                let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
                let mut words = rest.splitn(3, '\t');
                Event::Begin {
                    row: words.next()?.parse().ok()?,
                    span: words.next()?.parse().ok()?,
                    kind,
                    name: words.next()?.into(),
                }
            }
        };
        Some((time, process, event))
    }
}

/// All that a picture shows. Times are nanoseconds since the first event.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Chart {
    pub length: u64,
    pub processes: Vec<Process>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Process {
    pub id: u32,
    pub name: String,
    pub rows: Vec<Row>,
}

/// A thread or a task; or several of one name, one after the other.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Row {
    pub name: String,
    /// The row of the thread that made it, which it stands below, if it is a task.
    pub thread: Option<u64>,
    /// From its first event to its last.
    pub from: u64,
    pub to: u64,
    /// A span inside another stands one lane below it. There is always one lane.
    pub lanes: Vec<Vec<Bar>>,
    pub marks: Vec<(u64, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub from: u64,
    pub to: u64,
    pub kind: Kind,
    pub name: String,
    /// It never ended: its process did, or the picture.
    pub cut: bool,
}

impl Chart {
    /// Reads a record. Lines that make no sense are passed over.
    pub(super) fn from_record(record: &str) -> Chart {
        let mut events: Vec<_> = record.lines().filter_map(Event::from_line).collect();
        events.sort_by_key(|event| event.0); // stable: lines of one time stay as written
        let start = events.first().map_or(0, |event| event.0);
        let mut processes: Vec<Reading> = Vec::new();
        let mut last = 0;
        for (time, id, event) in events {
            last = time - start;
            let index = processes.iter().position(|p| p.id == id).unwrap_or_else(|| {
                processes.push(Reading { id, ..Reading::default() });
                processes.len() - 1
            });
            processes[index].take(last, event);
        }
        Chart {
            length: last.max(1),
            // One that ended before it had anything to draw is not drawn.
            processes: processes
                .into_iter()
                .filter(|process| !process.rows.is_empty())
                .map(|process| process.finish(last))
                .collect(),
        }
    }

    pub(super) fn title(&self) -> &str {
        self.processes.first().map_or("", |process| &process.name)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.processes.iter().flat_map(|process| &process.rows)
    }
}

/// A process while its events are read.
#[derive(Default)]
struct Reading {
    id: u32,
    name: String,
    ended: Option<u64>,
    /// By their numbers, in order of appearance.
    rows: Vec<(u64, Row)>,
    open: Vec<(u64, u64, Bar)>,
    done: Vec<(u64, Bar)>,
}

impl Reading {
    fn take(&mut self, time: u64, event: Event) {
        if self.ended.is_some() {
            return;
        }
        match event {
            Event::Process { name } => self.name = name,
            Event::Row { row, name } => {
                let new = Row { name, from: time, to: time, ..Row::default() };
                self.rows.push((row, new));
            }
            Event::Task { row, thread, name } => {
                let thread = Some(thread);
                let new = Row { name, thread, from: time, to: time, ..Row::default() };
                self.rows.push((row, new));
            }
            Event::Begin { row, span, kind, name } => {
                self.touch(row, time);
                let bar = Bar { from: time, to: time, kind, name, cut: false };
                self.open.push((span, row, bar));
            }
            Event::End { span } => {
                if let Some(i) = self.open.iter().position(|open| open.0 == span) {
                    let (_, row, bar) = self.open.remove(i);
                    self.touch(row, time);
                    self.done.push((row, Bar { to: time, ..bar }));
                }
            }
            Event::Mark { row, text } => {
                if let Some(row) = self.touch(row, time) {
                    row.marks.push((time, text));
                }
            }
            Event::Ended => {
                self.ended = Some(time);
                if let Some((_, main)) = self.rows.first_mut() {
                    main.to = time;
                }
            }
        }
    }

    fn touch(&mut self, row: u64, time: u64) -> Option<&mut Row> {
        let (_, row) = self.rows.iter_mut().find(|(number, _)| *number == row)?;
        row.to = time;
        Some(row)
    }

    fn finish(mut self, last: u64) -> Process {
        let end = self.ended.unwrap_or(last);
        for (_, row, bar) in std::mem::take(&mut self.open) {
            self.touch(row, end);
            self.done.push((row, Bar { to: end, cut: true, ..bar }));
        }
        self.done.sort_by_key(|(_, bar)| (bar.from, std::cmp::Reverse(bar.to)));
        // Threads, with their numbers and the tasks below each.
        let mut threads: Vec<(Vec<u64>, Row, Vec<Row>)> = Vec::new();
        for (number, mut row) in self.rows {
            let bars = self.done.extract_if(.., |(of, _)| *of == number);
            row.lanes = lanes(bars.map(|(_, bar)| bar));
            // What was told afterwards may have been before there was a row.
            let first = row.lanes[0].first().map_or(row.from, |bar| bar.from);
            row.from = row.from.min(first);
            // Threads of one name, one after the other, share a row: the third round's stands
            // behind the second's. So do tasks.
            let continues = |earlier: &Row| earlier.name == row.name && earlier.to <= row.from;
            let of = |thread| threads.iter().position(|(numbers, ..)| numbers.contains(&thread));
            if let Some(thread) = row.thread.and_then(of) {
                let tasks = &mut threads[thread].2;
                match tasks.iter_mut().find(|task| continues(task)) {
                    Some(earlier) => earlier.append(row),
                    None => tasks.push(row),
                }
                continue;
            }
            row.thread = None;
            match threads.iter_mut().find(|(_, thread, _)| continues(thread)) {
                Some((numbers, earlier, _)) => {
                    numbers.push(number);
                    earlier.append(row);
                }
                None => threads.push((vec![number], row, Vec::new())),
            }
        }
        let rows =
            threads.into_iter().flat_map(|(_, thread, tasks)| [thread].into_iter().chain(tasks));
        Process { id: self.id, name: self.name, rows: rows.collect() }
    }
}

impl Row {
    /// How far below a thread it stands: 0 for the thread itself, 1 for its tasks.
    pub(super) fn depth(&self) -> u64 {
        self.thread.is_some().into()
    }

    fn append(&mut self, later: Row) {
        self.to = later.to;
        self.marks.extend(later.marks);
        for (i, lane) in later.lanes.into_iter().enumerate() {
            match self.lanes.get_mut(i) {
                Some(mine) => mine.extend(lane),
                None => self.lanes.push(lane),
            }
        }
    }
}

/// Puts each bar, in order of beginning, in the first lane that is free by then.
fn lanes(bars: impl Iterator<Item = Bar>) -> Vec<Vec<Bar>> {
    let mut lanes: Vec<Vec<Bar>> = vec![Vec::new()];
    for bar in bars {
        let free = |lane: &Vec<Bar>| lane.last().is_none_or(|last| last.to <= bar.from);
        match lanes.iter().position(free) {
            Some(i) => lanes[i].push(bar),
            None => lanes.push(vec![bar]),
        }
    }
    lanes
}

/// Round times for the axis, about `count` of them, with 0 and never past `length`.
pub(super) fn axis(length: u64, count: u64) -> Vec<u64> {
    let rough = (length / count.max(1)).max(1);
    let power = 10_u64.pow(rough.ilog10());
    let step = [1, 2, 5, 10].map(|n| n * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..=length / step).map(|i| i * step).collect()
}

/// A time for people: `0`, `850 ns`, `12.5 ms`, `3 s`.
pub(super) fn time(nanoseconds: u64) -> String {
    let (unit, size) = match nanoseconds {
        0 => return "0".into(),
        1..1_000 => ("ns", 1.0),
        1_000..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    let number = format!("{:.2}", nanoseconds as f64 / size);
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two threads, a lock, and a child that is killed while it works.
    pub(in super::super) const RECORD: &str = "\
        100\t7\tprocess\tcase\n100\t7\trow\t0\tmain\n\
        200\t7\trow\t1\tadd\n200\t7\truns\t1\t2\tloop\n300\t7\twaits\t1\t3\tA\n\
        350\t8\tprocess\tchild\n350\t8\trow\t0\tmain\n360\t8\truns\t0\t1\twork\n\
        500\t7\tend\t3\n500\t7\tholds\t1\t4\tA <&>\n700\t7\tend\t4\n700\t8\tended\n\
        800\t7\tend\t2\n900\t7\tmark\t0\tdone\n1100\t7\tended\n1200\t7\truns\t1\t9\tlate\nnonsense\n";

    #[test]
    fn a_record_becomes_a_chart() {
        let chart = Chart::from_record(RECORD);
        assert_eq!(chart.length, 1100);
        assert_eq!(chart.title(), "case");
        let [case, child] = &chart.processes[..] else { panic!("{chart:?}") };

        let add = &case.rows[1];
        assert_eq!((add.name.as_str(), add.from, add.to), ("add", 100, 700));
        assert_eq!(add.lanes.len(), 2);
        let inner: Vec<_> = add.lanes[1].iter().map(|b| (b.from, b.to, b.kind)).collect();
        assert_eq!(inner, [(200, 400, Kind::Wait), (400, 600, Kind::Hold)]);
        assert_eq!(case.rows[0].marks, [(800, "done".into())]);

        let killed = &child.rows[0].lanes[0][0];
        assert_eq!((killed.from, killed.to, killed.cut), (260, 600, true));
    }

    #[test]
    fn what_was_before_its_row_is_drawn() {
        let told = "100\t7\truns\t1\t2\twork\n200\t7\tend\t2\n300\t7\trow\t1\ttask\n";
        let chart = Chart::from_record(told);
        let row = &chart.processes[0].rows[0];
        assert_eq!((row.from, row.to, row.lanes[0][0].from, row.lanes[0][0].to), (0, 200, 0, 100));
    }

    #[test]
    fn events_go_through_the_record_unchanged() {
        let name = || "a b".to_owned();
        for event in [
            Event::Process { name: name() },
            Event::Row { row: 3, name: name() },
            Event::Task { row: 3, thread: 1, name: name() },
            Event::Begin { row: 3, span: 4, kind: Kind::Hold, name: name() },
            Event::Begin { row: 3, span: 4, kind: Kind::Wait, name: String::new() },
            Event::End { span: 4 },
            Event::Mark { row: 0, text: name() },
            Event::Ended,
        ] {
            let line = event.to_line(12, 34);
            assert_eq!(Event::from_line(line.trim_end_matches('\n')), Some((12, 34, event)));
        }
    }

    #[test]
    fn a_name_cannot_break_its_line() {
        let line = Event::Process { name: "a\nb\tc\u{202e}中".into() }.to_line(1, 2);
        assert_eq!(line, "1\t2\tprocess\ta\\nb\\tc\\u{202e}中\n");
    }

    #[test]
    fn threads_of_one_name_share_a_row_unless_they_overlap() {
        let row = |number, from, to| {
            format!(
                "{from}\t1\trow\t{number}\tT\n{from}\t1\truns\t{number}\t{number}1\tx\n{to}\t1\tend\t{number}1\n"
            )
        };
        let record = row(1, 10, 20) + &row(2, 20, 30) + &row(3, 25, 40);
        let chart = Chart::from_record(&record);
        let lanes: Vec<_> = chart.rows().map(|row| row.lanes[0].len()).collect();
        assert_eq!(lanes, [2, 1]);
    }

    #[test]
    fn tasks_stand_below_their_thread() {
        let record = "0\t1\trow\t0\tmain\n1\t1\trow\t1\tone\n2\t1\trow\t2\ttwo\n\
            3\t1\ttask\t3\t1\ta\n4\t1\ttask\t4\t2\ta\n5\t1\ttask\t5\t1\tb\n6\t1\ttask\t6\t99\tc\n";
        let chart = Chart::from_record(record);
        let rows: Vec<_> = chart.rows().map(|row| (row.name.as_str(), row.depth())).collect();
        let expected =
            [("main", 0), ("one", 0), ("a", 1), ("b", 1), ("two", 0), ("a", 1), ("c", 0)];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_process_that_only_ended_is_not_drawn() {
        let chart = Chart::from_record("1\t1\trow\t0\tmain\n2\t9\tended\n3\t1\tended\n");
        assert_eq!(chart.processes.iter().map(|p| p.id).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn an_empty_record_is_an_empty_chart() {
        assert_eq!(Chart::from_record("").rows().count(), 0);
    }

    #[test]
    fn the_axis_has_round_numbers() {
        assert_eq!(axis(1000, 5), [0, 200, 400, 600, 800, 1000]);
        assert_eq!(axis(1234, 4), [0, 500, 1000]);
        assert_eq!(axis(1, 5), [0, 1]);
    }

    #[test]
    fn times_are_for_people() {
        let shown = [0, 850, 1_500, 12_500_000, 3_000_000_000].map(time);
        assert_eq!(shown, ["0", "850 ns", "1.5 µs", "12.5 ms", "3 s"]);
    }
}
