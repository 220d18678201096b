//! How the tests of SWE-bench's Python repositories are run, for rows that do not
//! say so themselves.

/// How one version of a repository is installed and tested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    repo: &'static str,
    /// Empty for every version that no earlier line names.
    versions: &'static [&'static str],
    /// The command that the files of the tests are appended to.
    pub test: &'static str,
    pub install: &'static str,
    /// Lines at the top of the script.
    pub environment: &'static [&'static str],
    /// What the published image has already done to the repository, and the log
    /// would be without results without.
    pub preparation: &'static [&'static str],
    pub log_parser: &'static str,
}

/// The lines of a repository are tried in order.
pub(super) fn find(repo: &str, version: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| {
        spec.repo == repo && (spec.versions.is_empty() || spec.versions.contains(&version))
    })
}

/// The repositories there are.
pub(super) fn repositories() -> Vec<&'static str> {
    let mut names: Vec<_> = SPECS.iter().map(|spec| spec.repo).collect();
    names.dedup();
    names
}

const PYTEST: &str = "pytest -rA";
const DJANGO: &str = "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1";
const EDITABLE: &str = "python -m pip install -e .";

const fn spec(repo: &'static str, test: &'static str, log_parser: &'static str) -> Spec {
    Spec {
        repo,
        versions: &[],
        test,
        install: EDITABLE,
        environment: &[],
        preparation: &[],
        log_parser,
    }
}

const SPECS: &[Spec] = &[
    Spec {
        versions: &["0.1", "0.2", "0.3", "0.4", "1.1", "1.2", "1.3"],
        install: "python -m pip install -e .[test] --verbose",
        ..spec(
            "astropy/astropy",
            "pytest -rA -vv -o console_output_style=classic --tb=no",
            "parse_log_astropy",
        )
    },
    Spec {
        install: "python -m pip install -e .[test] --verbose",
        ..spec("astropy/astropy", PYTEST, "parse_log_astropy")
    },
    Spec {
        versions: &["1.4", "1.5", "1.6"],
        install: "python setup.py install",
        ..spec("django/django", DJANGO, "parse_log_django")
    },
    Spec {
        versions: &["1.9"],
        install: "python setup.py install",
        environment: UTF8,
        ..spec(
            "django/django",
            "./tests/runtests.py --verbosity 2",
            "parse_log_django",
        )
    },
    Spec {
        versions: &["1.7", "1.8", "1.10", "1.11", "2.0", "2.1", "2.2"],
        install: "python setup.py install",
        environment: UTF8,
        ..spec("django/django", DJANGO, "parse_log_django")
    },
    Spec {
        versions: &["3.0", "3.1", "3.2"],
        environment: &[
            "sed -i '/en_US.UTF-8/s/^# //g' /etc/locale.gen && locale-gen",
            "export LANG=en_US.UTF-8",
            "export LANGUAGE=en_US:en",
            "export LC_ALL=en_US.UTF-8",
        ],
        ..spec("django/django", DJANGO, "parse_log_django")
    },
    spec("django/django", DJANGO, "parse_log_django"),
    Spec {
        versions: &[
            "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "2.0", "2.1", "2.2",
        ],
        install: "python setup.py build; python setup.py install",
        ..spec("matplotlib/matplotlib", PYTEST, "parse_log_matplotlib")
    },
    Spec {
        versions: &["3.8", "3.9"],
        install: "python -m pip install --no-build-isolation -e \".[dev]\"",
        ..spec("matplotlib/matplotlib", PYTEST, "parse_log_matplotlib")
    },
    spec("matplotlib/matplotlib", PYTEST, "parse_log_matplotlib"),
    Spec {
        versions: &["0.11"],
        ..spec("mwaskom/seaborn", SEABORN, "parse_log_seaborn")
    },
    Spec {
        install: "python -m pip install -e .[dev]",
        ..spec("mwaskom/seaborn", SEABORN, "parse_log_seaborn")
    },
    spec("pallets/flask", PYTEST, "parse_log_flask"),
    Spec {
        install: "python -m pip install .",
        ..spec("psf/requests", PYTEST, "parse_log_requests")
    },
    spec("pydata/xarray", PYTEST, "parse_log_xarray"),
    spec("pylint-dev/pylint", PYTEST, "parse_log_pylint"),
    Spec {
        versions: &["6.3"],
        preparation: &["sed -i 's/>=>=/>=/' setup.cfg"],
        ..spec("pytest-dev/pytest", PYTEST, "parse_log_pytest")
    },
    spec("pytest-dev/pytest", PYTEST, "parse_log_pytest"),
    Spec {
        install: "python -m pip install -v --no-use-pep517 --no-build-isolation -e .",
        ..spec("scikit-learn/scikit-learn", PYTEST, "parse_log_scikit")
    },
    Spec {
        install: "python -m pip install -e .[test]",
        preparation: &["sed -i 's/pytest/pytest -rA/' tox.ini"],
        ..spec(
            "sphinx-doc/sphinx",
            "tox --current-env -epy39 -v --",
            "parse_log_sphinx",
        )
    },
    spec(
        "sympy/sympy",
        "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose",
        "parse_log_sympy",
    ),
];

const SEABORN: &str = "pytest --no-header -rA";

const UTF8: &[&str] = &[
    "export LANG=en_US.UTF-8",
    "export LC_ALL=en_US.UTF-8",
    "export PYTHONIOENCODING=utf8",
    "export LANGUAGE=en_US:en",
];
