//! Names and details that try to get out of the text they are shown in.

use timeslip_datasets::run::journal::Outcome;

use crate::support;
use resvg::usvg::{Options, Tree};
use timeslip_reports::charts;
use timeslip_reports::claims::ClaimsFile;
use timeslip_reports::data::RunData;
use timeslip_reports::render::{csv_tables, html, terminal};
use timeslip_reports::summary::Summary;
use timeslip_reports::svg::Paint;

const ATTACK: &str =
    "</script></title></style><img src=x onerror=alert(1)>\"'{{7*7}}\u{1b}[31m\u{0}";

fn summary(run: &RunData) -> Summary {
    let text = serde_json::to_string(&format!("=1{ATTACK}")).unwrap();
    let (metric, missing) = ("metric = \"ttft_ms\"\nat_least = 1", "suite = ");
    let claim = |id: usize, rest: &str| {
        let head = format!("[[claim]]\nid = {text}\ntext = {text}\nsource = {text}\n{rest}\n");
        head.replacen("=1", &format!("={id}"), 1)
    };
    let file = claim(1, metric)
        + &claim(2, &format!("{metric}\n{missing}{text}"))
        + &claim(3, &format!("not_measurable = {text}"))
        + &claim(
            4,
            &format!("{metric}\nendpoint = {{ model = {text}, transport = {text} }}"),
        );
    let file = ClaimsFile::parse(&file).unwrap();
    assert_eq!(file.claims.len(), 4);
    Summary::with_claims(run, &file)
}

fn page(run: &RunData) -> String {
    let summary = summary(run);
    html(&summary, &charts::all(run, &summary).unwrap()).unwrap()
}

fn hostile_run() -> RunData {
    let mut run = support::run();
    let candidate = format!("=cmd()|{ATTACK}");
    for endpoint in &mut run.endpoints {
        if endpoint.name == "spark-sim" {
            endpoint.name = candidate.clone();
        }
        endpoint.model = ATTACK.to_owned();
        endpoint.protocol = ATTACK.to_owned();
        endpoint.transport = ATTACK.to_owned();
        endpoint.notes = vec![ATTACK.to_owned()];
    }
    for (index, trial) in run.trials.iter_mut().enumerate() {
        if trial.endpoint == "spark-sim" {
            trial.endpoint = candidate.clone();
        }
        trial.task = format!("@SUM({}){ATTACK}", index / 2);
        trial.suite = format!("+1{ATTACK}");
        trial.tags = vec![format!("={}{ATTACK}", index / 2 % 2)];
        trial.detail = Some(format!("-1{ATTACK}"));
        for span in &mut trial.spans {
            span.label = ATTACK.into();
        }
        for exchange in &mut trial.exchanges {
            exchange.transport = ATTACK.to_owned();
        }
    }
    run.run_id = ATTACK.to_owned();
    run.started_at = ATTACK.to_owned();
    run.timeslip_version = ATTACK.to_owned();
    run.sandbox = ATTACK.to_owned();
    run.warnings = vec![ATTACK.to_owned()];
    run.environment = vec![(ATTACK.to_owned(), ATTACK.to_owned())];
    run
}

#[test]
fn nothing_opens_markup_in_the_page() {
    let page = page(&hostile_run());
    assert!(!page.contains("<img"), "an element was injected");
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script>").count(), 1);
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(
        page.matches("</title>").count(),
        1 + page.matches("<title ").count() + page.matches("<g><title>").count()
    );
    assert!(!page.contains('\u{1b}'));
}

#[test]
fn nothing_opens_markup_in_a_chart_and_it_stays_xml() {
    let run = hostile_run();
    for chart in charts::all(&run, &summary(&run)).unwrap() {
        let svg = chart.document.to_svg(Paint::Variables);
        assert!(
            !svg.contains("<img") && !svg.contains("</script"),
            "{}",
            chart.kind.name
        );
        let readable = Tree::from_str(&svg, &Options::default());
        assert!(readable.is_ok(), "{}", chart.kind.name);
    }
}

#[test]
fn no_cell_is_a_formula() {
    let run = hostile_run();
    for table in csv_tables(&run, &summary(&run)) {
        let name = table.name;
        let content = support::csv(&table);
        let mut reader = csv::Reader::from_reader(content.as_slice());
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert!(!records.is_empty(), "{name}");
        for cell in records.iter().flatten() {
            let number = cell.parse::<f64>().is_ok();
            assert!(
                number || !cell.starts_with(['=', '+', '-', '@']),
                "{name}: {cell}"
            );
        }
    }
}

#[test]
fn no_control_character_reaches_the_terminal() {
    let text = terminal(&summary(&hostile_run()));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn numbers_at_their_limits_do_no_harm() {
    let mut run = support::run();
    for (index, trial) in run.trials.iter_mut().enumerate() {
        let extreme = if index % 3 == 0 { u64::MAX } else { 0 };
        trial.wall_ns = extreme;
        trial.cost_usd = Some([f64::NAN, f64::INFINITY, f64::MAX, -1.0][index % 4]);
        for stage in &mut trial.stages {
            stage.ns = extreme;
            stage.error_ns = Some(u64::MAX);
        }
        for span in &mut trial.spans {
            (span.start_ns, span.end_ns) = (extreme, u64::MAX - extreme);
            span.turn = u32::MAX;
        }
        for exchange in &mut trial.exchanges {
            exchange.ttft_ns = Some(extreme);
            exchange.decode_ns = Some(extreme);
            exchange.output_tokens = Some(u64::MAX);
            exchange.inter_event_ns = [extreme; 5].into_iter().collect();
        }
        trial.outcome = if index % 2 == 0 {
            Outcome::Resolved
        } else {
            Outcome::Error
        };
    }
    assert!(page(&run).ends_with("</html>") || page(&run).ends_with("</html>\n"));
}
