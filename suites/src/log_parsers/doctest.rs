//! doctest of C++, with its XML report: `-s -r=xml`.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::paths::Paths;
use super::{Status, Statuses};

/// `TEST_CASE > SUBCASE`; a subcase passes when every expression inside succeeds.
/// A report that is not well-formed holds nothing.
pub(super) fn parse(log: &str) -> Statuses {
    report(log).and_then(subcases).unwrap_or_default()
}

fn report(log: &str) -> Option<&str> {
    const END: &str = "</doctest>";
    let report = &log[log.find("<doctest")?..];
    Some(&report[..report.find(END)? + END.len()])
}

fn subcases(report: &str) -> Option<Statuses> {
    let mut reader = Reader::from_str(report);
    let mut test_case = String::new();
    // In the order in which they begin: of one name, the last counts.
    let mut paths = Paths::default();
    let mut found: Vec<(String, Status)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(element) | Event::Empty(element) => match element.name().as_ref() {
                b"TestCase" => test_case = attribute(element, "name")?,
                b"SubCase" => {
                    let name = paths.name(&[&test_case, &attribute(element, "name")?])?;
                    if matches!(event, Event::Start(_)) {
                        open.push(found.len());
                    }
                    found.push((name, Status::Passed));
                }
                b"Expression" if attribute(element, "success").as_deref() != Some("true") => {
                    if let Some(innermost) = open.last() {
                        found[*innermost].1 = Status::Failed;
                    }
                }
                _ => {}
            },
            Event::End(element) if element.name().as_ref() == b"SubCase" => {
                let ended = open.pop()?;
                if let (Status::Failed, Some(around)) = (found[ended].1, open.last()) {
                    found[*around].1 = Status::Failed;
                }
            }
            Event::Eof => return Some(found.into_iter().collect()),
            _ => {}
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    let value = attribute.normalized_value(Default::default()).ok()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"+ ./build/tests/test-udt -s -r=xml
<?xml version="1.0" encoding="UTF-8"?>
<doctest binary="test-udt" version="2.4.11">
  <Options order_by="file" rand_seed="0" first="0" />
  <TestSuite>
    <TestCase name="basic usage" filename="udt.cpp" line="1">
      <SubCase name="conversion &lt;to&gt;" filename="udt.cpp" line="2">
        <Expression success="true" type="CHECK" filename="udt.cpp" line="3">
          <Original>a &lt; b</Original>
        </Expression>
      </SubCase>
      <SubCase name="outer" filename="udt.cpp" line="4">
        <SubCase name="inner" filename="udt.cpp" line="5">
          <Expression success="false" type="CHECK" filename="udt.cpp" line="6"/>
        </SubCase>
        <SubCase name="empty" filename="udt.cpp" line="7"/>
      </SubCase>
    </TestCase>
    <TestCase name="without subcases" filename="udt.cpp" line="8">
      <Expression success="false" type="CHECK" filename="udt.cpp" line="9"/>
    </TestCase>
  </TestSuite>
  <OverallResultsAsserts successes="1" failures="2" />
</doctest>
"#;

    #[test]
    fn subcases_with_what_is_inside() {
        insta::assert_debug_snapshot!(parse(LOG), @r#"
        {
            "basic usage > conversion <to>": Passed,
            "basic usage > empty": Passed,
            "basic usage > inner": Failed,
            "basic usage > outer": Failed,
        }
        "#);
    }

    #[test]
    fn a_broken_report_holds_nothing() {
        for broken in ["", "<doctest></doctest>", &LOG.replace("</TestCase>", "")] {
            assert!(parse(broken).is_empty(), "{broken}");
        }
    }
}
