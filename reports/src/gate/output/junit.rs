//! JUnit XML, one test case a rule and endpoint.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{DETECTABLE, advice, detectable, place};
use crate::format::one_line;
use crate::gate::finding::{Finding, GateResult, Verdict};

/// Renders the gate for test reporters: a regression is a failure, what could not be
/// decided is an error, a warning passes and says so.
///
/// # Errors
/// When the XML cannot be serialised.
pub fn junit(result: &GateResult) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("timeslip gate");
    let mut suite = TestSuite::new(one_line(&result.candidate));
    suite.add_test_cases(result.findings.iter().map(case));
    report.add_test_suite(suite);
    report.to_string()
}

fn case(finding: &Finding) -> TestCase {
    let reason = one_line(&finding.reason);
    let status = match finding.verdict {
        Verdict::Pass | Verdict::Warn => TestCaseStatus::success(),
        Verdict::Regression => failed(NonSuccessKind::Failure, finding, &reason),
        Verdict::Inconclusive | Verdict::Invalid => failed(NonSuccessKind::Error, finding, &reason),
    };
    let name = format!("{} [{}]", one_line(&finding.rule), place(finding));
    let mut case = TestCase::new(name, status);
    case.set_classname(finding.metric.clone());
    let mut out = format!("{}: {reason}", finding.verdict.name());
    if let Some(seen) = detectable(finding) {
        out.push_str(&format!("\n{DETECTABLE}: {seen}"));
    }
    if let Some(advice) = advice(finding) {
        out.push_str(&format!("\n{advice}"));
    }
    case.set_system_out(out);
    case
}

fn failed(kind: NonSuccessKind, finding: &Finding, reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status
        .set_type(finding.verdict.name())
        .set_message(reason.to_owned());
    status
}
