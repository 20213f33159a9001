"""The package keeps each rule of Dify and its Marketplace that a machine can check, and each can fail."""

import pytest

from tests.package.contents import Package
from tests.package.rules import RULES, Breach, Rule

BREACHES = [(rule, breach) for rule, breaches in RULES.items() for breach in breaches]


def words(value: Rule | Breach) -> str:
    return value.found if isinstance(value, Breach) else value.__name__.replace("_", " ")


@pytest.mark.parametrize("rule", RULES, ids=words)
def test_the_package_keeps_the_rule_that(rule: Rule, package: Package) -> None:
    assert list(rule(package)) == []


@pytest.mark.parametrize(("rule", "breach"), BREACHES, ids=words)
def test_a_package_is_found_that_breaks_the_rule_that(rule: Rule, breach: Breach, package: Package) -> None:
    content = package.files[breach.path].decode() if breach.old else ""
    assert breach.old in content
    changed = content.replace(breach.old, breach.new) if breach.old else breach.new

    violations = list(rule(Package({**package.files, breach.path: changed.encode()})))

    assert any(breach.found in violation for violation in violations), violations
