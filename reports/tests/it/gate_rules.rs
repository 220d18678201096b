//! What is wrong with a file of rules is said with its line and what to do.

use std::path::Path;

use timeslip_reports::gate::{DEFAULT, Rules};

fn error(text: &str) -> String {
    let error = Rules::parse(text, Path::new("gate.toml")).unwrap_err();
    error.to_string()
}

fn rule(lines: &str) -> String {
    error(&format!("alpha = 0.05\n\n[[rule]]\n{lines}"))
}

#[test]
fn the_built_in_rules_are_read() {
    let rules = Rules::parse(DEFAULT, Path::new("default")).unwrap();
    assert!(rules.rules.len() >= 5);
    assert!(rules.alpha > 0.0 && rules.drift > 0.0);
}

#[test]
fn mistakes_are_named_with_their_line() {
    insta::assert_snapshot!(error(""), @"gate.toml: has no [[rule]]; a gate without rules passes nothing");
    insta::assert_snapshot!(rule("metric = \"speed\"\nmax_regress = \"5%\""), @r#"
    gate.toml: TOML parse error at line 4, column 10
      |
    4 | metric = "speed"
      |          ^^^^^^^
    'speed' is no metric; there are task_time, task_time_without_wait, ttft, inter_event, output_tokens_per_second, tpot, token_overhead, round_trip_overhead, resolve_rate, error_rate, cost, output_tokens, turns, tool_calls, read_calls, search_calls, edit_calls, test_calls, run_calls, delegate_calls, plan_calls, web_calls, other_calls, ran_tests, files_changed, lines_changed, files_against_solution, lines_against_solution, requests, side_requests, connections, request_bytes, prompt_tokens, cached_share, agent_start, between_turns, turn_overhead, overhead_before_tools, overhead_after_tools, harness_share, cpu_time, peak_memory, stage.network, stage.queue, stage.prefill, stage.residue, stage.decode, stage.tool, stage.harness, stage.wait, stage.connect_dns, stage.connect_tcp, stage.connect_tls, stage.connect_upgrade, stage.send, stage.decode_reasoning, stage.decode_text, stage.decode_tool_arguments, stage.tail, stage.tool_sandbox, stage.tool_command, stage.agent_start.
    "#);
    assert!(
        rule("metric = \"stage.tool.share\"\nmax_regress = \"5%\"").contains("gate their times")
    );
    insta::assert_snapshot!(rule("metric = \"ttft\"\nmax_regress = \"fast\""), @r#"
    gate.toml: TOML parse error at line 5, column 15
      |
    5 | max_regress = "fast"
      |               ^^^^^^
    'fast' does not begin with a number
    "#);
    insta::assert_snapshot!(rule("metric = \"ttft\"\nslo = \"p95 under 2s\""), @r#"
    gate.toml: TOML parse error at line 5, column 7
      |
    5 | slo = "p95 under 2s"
      |       ^^^^^^^^^^^^^^
    'p95 under 2s' is not an objective; write "p(95)<250ms", "mean<2s", "mean>900/s" or "share>60%"
    "#);
    insta::assert_snapshot!(rule("metric = \"ttft\"\nmax_regres = \"5%\""), @r#"
    gate.toml: TOML parse error at line 5, column 1
      |
    5 | max_regres = "5%"
      | ^^^^^^^^^^
    unknown field `max_regres`, expected one of `name`, `metric`, `statistic`, `suite`, `endpoint`, `max_regress`, `slo`, `alpha`, `min_pairs`, `max_detectable`, `action`
    "#);
}

#[test]
fn what_does_not_go_together_is_named_with_its_line() {
    insta::assert_snapshot!(rule("metric = \"ttft\""), @r#"gate.toml:3: a rule has either max_regress, as in "5%", or slo, as in "p(95)<250ms""#);
    insta::assert_snapshot!(rule("metric = \"resolve_rate\"\nmax_regress = \"5%\""), @r#"gate.toml:5: resolve_rate is a share; write its limit as "2 points""#);
    insta::assert_snapshot!(rule("metric = \"stage.tool\"\nstatistic = \"p95\"\nmax_regress = \"5%\""), @"gate.toml:5: stage.tool has no p95; it has mean");
    insta::assert_snapshot!(rule("metric = \"ttft\"\nstatistic = \"p95\"\nmax_regress = \"5ms\""), @r#"gate.toml:6: a limit in milliseconds goes with statistic = "typical" or "mean", as in "30ms"; else write "5%""#);
    insta::assert_snapshot!(rule("metric = \"ttft\"\nslo = \"mean<5 usd\""), @"gate.toml:5: ttft is not measured in that unit");
    insta::assert_snapshot!(rule("metric = \"ttft\"\nslo = \"p(95)<2s\"\nstatistic = \"mean\""), @"gate.toml:6: an slo names its statistic itself, as in p(95)<250ms");
    insta::assert_snapshot!(rule("metric = \"output_tokens_per_second\"\nmax_regress = \"100%\""), @"gate.toml:5: output_tokens_per_second cannot fall by 100 % and more");
    insta::assert_snapshot!(rule("metric = \"resolve_rate\"\nmax_regress = \"150 points\""), @"gate.toml:5: shares cannot differ by 100 points and more");
    insta::assert_snapshot!(rule("metric = \"ttft\"\nmax_regress = \"5%\"\nmax_detectable = \"20ms\""), @"gate.toml:6: max_detectable is written as max_regress is, e.g. both in %");
    insta::assert_snapshot!(rule("metric = \"ttft\"\nmax_regress = \"5%\"\nalpha = 1.5"), @"gate.toml:6: alpha = 1.5 is not between 0 and 1");
    insta::assert_snapshot!(rule("metric = \"ttft\"\nmax_regress = \"5%\"\n[[rule]]\nmetric = \"ttft\"\nmax_regress = \"9%\""), @"gate.toml: two rules are called 'ttft typical'; give one a name");
    insta::assert_snapshot!(error("drift = \"5ms\"\n[[rule]]\nmetric = \"ttft\"\nmax_regress = \"5%\""), @r#"gate.toml:1: drift is a share; write "10%""#);
}
