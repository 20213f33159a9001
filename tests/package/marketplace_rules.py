"""What the checks of Dify's Marketplace look for in a package, blocking or not.

A rule takes a package and yields its violations. Source: the pre-check workflow of langgenius/dify-plugins
and the toolkit that it calls. A check that only warns there counts here as well: a person reads the warnings.
"""

import ast
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import InvalidRequirement
from packaging.version import Version

from tests.package.contents import Package
from tests.package.installation import lower_bound, requirements

PUBLISHED = "0.0.4"
"""The version that the listing had before this one."""

FOLDERS = {
    *(
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "env",
        "__pycache__",
        "pycache",
        ".pytest_cache",
        ".ruff_cache",
    ),
    *(".mypy_cache", ".tox", ".nox", ".idea", ".vscode", "node_modules", "build", "dist"),
}
FILES = {".DS_Store", ".gitconfig", "Thumbs.db", "desktop.ini", "id_rsa"}
SUFFIXES = {
    *(".key", ".pem", ".p12", ".pfx", ".pyc", ".pyo", ".log", ".tmp", ".swp", ".swo", ".bak"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"),
    *(".dll", ".dylib", ".exe", ".node", ".pyd", ".so", ".sh", ".bin", ".run", ".command", ".app"),
}
MAGIC = (
    b"\x7fELF",
    b"MZ",
    *(bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe")),
)

SECRETS = (
    r"\bsk-[A-Za-z0-9_-]{20,}\b",
    r"\bgh[pousr]_[A-Za-z0-9_]{20,}\b",
    r"\bxox[baprs]-[A-Za-z0-9-]{10,}\b",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\b",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
)
_SECRET_NAME = r"api_key|access_key|access_token|auth_token|client_secret|password|private_key|secret|token"
_QUOTED = re.compile(rf"""(?i)[\w-]*(?:{_SECRET_NAME})[\w-]*["']?\s*[:=]\s*["']([^"'\n]+)["']""")
_UNQUOTED = re.compile(rf"(?im)^[\s-]*[\w-]*(?:{_SECRET_NAME})[\w-]*\s*[:=][ \t]*([^\s\"'#]{{4,}})[ \t]*$")
_PLACEHOLDER = re.compile(
    r"(?i)changeme|dummy|example|fake|none|null|placeholder|test|todo|xxx|<.*>|\$\{.*\}"
    r"|.*your.*(key|secret|token|password).*"
)

HOSTS = r"github\.com|gitlab\.com|bitbucket\.org|gitee\.com|codeberg\.org|git\.sr\.ht|gitlab\.anchnet\.com"
REPOSITORY_URL = re.compile(rf'https?://(?:www\.)?(?:{HOSTS})/[^\s)>"]+', re.IGNORECASE)
CHINESE = re.compile(r"[\u3400-\u4DBF\u4E00-\u9FFF]")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

_OLD_ICON = '<svgwidth="100"height="100"xmlns="http://www.w3.org/2000/svg"><pathd="M2020V80M2020H60Q802080'
LARGE = {"torch", "transformers", "playwright", "chromadb", "opencv-python", "tensorflow", "selenium"}

_METHODS = "get|post|put|patch|delete|head|request"
# What must be disclosed -> how the Marketplace finds it in a line of code.
CAPABILITIES = {
    "commands": r"\bsubprocess\b|os\.system",
    "code": r"(?<![\w.])(eval|exec|compile)\(|importlib\.import_module|pickle\.load",
    "SQL": r"\b(SELECT|INSERT|UPDATE|DELETE|DROP|CREATE)\s+(\w+\s+)*(FROM|INTO|SET|TABLE)\b|\.execute\(",
    "SSH": r"\bparamiko\b",
    "files": r"(?<![\w.])open\(|os\.(remove|rename|makedirs|listdir|walk)|shutil\.|glob\.glob",
    "network": rf"\b(requests|httpx)\.({_METHODS})\(|urlopen\(|aiohttp\.ClientSession\(",
    "browser": r"\b(playwright|selenium)\b",
}
FINANCIAL = re.compile(
    r"(?i)\b(payments?|checkout|charge[sd]?|refund\w*|payouts?|transactions?|trading|deposits?|withdraw\w*)\b"
)
_SECRET_WORDS = ("credential", "api_key", "apikey", "secret", "token", "password", "passwd")

_URL_HOST = re.compile(r"https?://([A-Za-z0-9.-]+)")
_BARE_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.(ai|cn|com|dev|io|net|org)")
_LINK_KEYS = r"(url|help|privacy|repo|docs|documentation|icon|website|homepage)"


def nothing_of_version_control_environments_or_caches(package: Package) -> Iterator[str]:
    for path in package.files:
        if FOLDERS.intersection(PurePosixPath(path).parent.parts):
            yield path


def no_local_file_of_a_person_or_a_system(package: Package) -> Iterator[str]:
    for path in package.files:
        name = PurePosixPath(path).name
        of_environment = name.startswith(".env") and name.removeprefix(".env") not in {
            ".example",
            ".sample",
            ".template",
        }
        if name in FILES or of_environment or PurePosixPath(path).suffix in SUFFIXES:
            yield path


def no_program_but_python(package: Package) -> Iterator[str]:
    for path, content in package.files.items():
        if content.startswith((*MAGIC, b"#!")) or "dify-plugin-" in path:
            yield path


def no_secret(package: Package) -> Iterator[str]:
    for path, text in package.texts():
        for pattern in SECRETS:
            for found in re.finditer(pattern, text):
                yield f"{path}: {found[0]}"
        in_code = path.endswith(".py")
        for found in (*_QUOTED.finditer(text), *(() if in_code else _UNQUOTED.finditer(text))):
            if not _PLACEHOLDER.fullmatch(found[1]):
                yield f"{path}: {found[0].strip()} ({entropy(found[1]):.1f} bits a character)"


def entropy(text: str) -> float:
    """Return the bits that each character of a text carries."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def the_manifest_is_complete(package: Package) -> Iterator[str]:
    needed = (
        *("author", "name", "version", "type", "icon", "plugins", "privacy", "repo", "contact"),
        *("label.en_US", "description.en_US", "meta.version", "meta.arch", "meta.minimum_dify_version"),
        *("meta.runner.language", "meta.runner.version", "meta.runner.entrypoint"),
    )
    for key in needed:
        value = package.manifest
        for part in key.split("."):
            value = (value or {}).get(part)
        if not value:
            yield f"{key} is missing"


def the_author_does_not_pose_as_dify(package: Package) -> Iterator[str]:
    author = str(package.manifest.get("author"))
    if re.search("dify|langgenius", author, re.IGNORECASE):
        yield author


def the_repository_the_contact_and_the_domains_are_real_addresses(package: Package) -> Iterator[str]:
    if not REPOSITORY_URL.fullmatch(str(package.manifest.get("repo"))):
        yield f"repo: {package.manifest.get('repo')}"
    contact = str(package.manifest.get("contact"))
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", contact):
        yield f"contact: {contact}"
    for domain in package.manifest["network"]["domains"]:
        if not re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+", domain):
            yield f"network.domains: {domain}"


def the_version_follows_the_published_one(package: Package) -> Iterator[str]:
    if not Version(package.manifest["version"]) > Version(PUBLISHED):
        yield package.manifest["version"]


def the_privacy_policy_says_what_happens_to_data(package: Package) -> Iterator[str]:
    path = package.manifest.get("privacy")
    policy = package.files.get("PRIVACY.md", b"").decode()
    if path != "PRIVACY.md" or not policy.strip():
        yield f"{path} and PRIVACY.md must be one file"
    if "please fill in the privacy policy" in policy.lower():
        yield "PRIVACY.md is the template"
    for subject in (
        r"\bsen[dt]|transmit|share",
        r"\bstor(e|es|ed|age)\b|retention|\bke(ep|pt)",
        r"\blogs?\b",
    ):
        if not re.search(subject, policy, re.IGNORECASE):
            yield f"PRIVACY.md has no word of {subject}"
    for subject in (*package.manifest["network"]["domains"], package.manifest["contact"], "https://"):
        if subject not in policy:
            yield f"PRIVACY.md does not name {subject}"


def the_readme_is_english_and_names_the_repository(package: Package) -> Iterator[str]:
    readme = package.files.get("README.md", b"").decode()
    if not readme.strip():
        yield "README.md is missing"
    if not REPOSITORY_URL.search(readme):
        yield "README.md does not name the repository"
    for found in CHINESE.finditer(FENCE.sub("", readme)):
        yield f"README.md: {found[0]}"


def the_readme_tells_how_to_set_up_use_and_connect(package: Package) -> Iterator[str]:
    readme = package.files.get("README.md", b"").decode().lower()
    subjects = {
        "setup": ("setup", "set up", "install", "configure", "getting started"),
        "usage": ("usage", "use", "example", "workflow", "chatflow"),
        "credentials": ("api key", "credential", "token", "secret", "auth"),
        "connection": ("connect", "endpoint", "base url", "host", "proxy", "network"),
    }
    for subject, words in subjects.items():
        if not any(word in readme for word in words):
            yield f"README.md has no word of {subject}"


def dependencies_are_bounded_from_below_and_above(package: Package) -> Iterator[str]:
    try:
        needed = requirements(package.files["requirements.txt"].decode())
    except InvalidRequirement as error:
        yield str(error)
        return
    for requirement in needed:
        operators = sorted(specifier.operator for specifier in requirement.specifier)
        if requirement.url or operators not in (["<", ">="], ["=="]):
            yield str(requirement)
        elif requirement.name in LARGE:
            yield f"{requirement.name} is large"
    sdk = [requirement for requirement in needed if requirement.name.replace("-", "_") == "dify_plugin"]
    if len(sdk) != 1 or Version(lower_bound(sdk[0])) < Version("0.9.0"):
        yield f"dify_plugin: {sdk}, at least 0.9.0"


def what_is_imported_is_declared(package: Package) -> Iterator[str]:
    own = {PurePosixPath(path).parts[0].removesuffix(".py") for path in package.files}
    # The validator of pydantic, which declares it itself.
    declared = {needed.name for needed in requirements(package.files["requirements.txt"].decode())} | {
        "pydantic_core"
    }
    known = own | declared | sys.stdlib_module_names
    for path, module in package.modules():
        for name in _imported(module):
            if name not in known:
                yield f"{path}: {name}"


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def every_python_file_compiles(package: Package) -> Iterator[str]:
    for path, text in package.texts(".py"):
        try:
            compile(text, path, "exec")
        except SyntaxError as error:
            yield str(error)


def the_icons_are_not_those_of_the_template(package: Package) -> Iterator[str]:
    for path, text in package.texts(".svg"):
        if "DIFY_MARKETPLACE_TEMPLATE_ICON_DO_NOT_USE" in text or "".join(text.split()).startswith(_OLD_ICON):
            yield path


def capabilities(package: Package) -> dict[str, list[str]]:
    """Return the lines that show a capability which must be disclosed, by its name in `CAPABILITIES`."""
    found: dict[str, list[str]] = {}
    for path, text in package.texts(".py", ".js", ".ts"):
        for number, line in enumerate(text.splitlines(), 1):
            for name, pattern in CAPABILITIES.items():
                if re.search(pattern, line):
                    found.setdefault(name, []).append(f"{path}:{number}: {line.strip()}")
    return found


def no_capability_but_the_network(package: Package) -> Iterator[str]:
    for name, lines in capabilities(package).items():
        if name != "network":
            yield from lines


def every_request_has_a_time_limit(package: Package) -> Iterator[str]:
    for path, module in package.modules():
        for node in ast.walk(module):
            if (
                isinstance(node, ast.Call)
                and re.fullmatch(rf"requests\.({_METHODS})", ast.unparse(node.func))
                and "timeout" not in {keyword.arg for keyword in node.keywords}
            ):
                yield f"{path}:{node.lineno}"


def no_secret_is_logged_raised_or_returned(package: Package) -> Iterator[str]:
    for path, module in package.modules():
        for node in ast.walk(module):
            for name in (name for value in _told(node) for name in _names(value)):
                if any(word in name.lower() for word in _SECRET_WORDS):
                    yield f"{path}:{node.lineno}: {name}"


def _told(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions that a statement hands to a log, an error or a caller."""
    match node:
        case ast.Raise(exc=ast.Call(args=args, keywords=keywords)):
            yield from (*args, *(keyword.value for keyword in keywords))
        case ast.Call(func=function, args=args, keywords=keywords):
            if re.match(r"print|(\w+\.)*log(ger|ging)?\.", ast.unparse(function)):
                yield from (*args, *(keyword.value for keyword in keywords))
        case ast.Return(value=ast.Name() | ast.Attribute() as value) | ast.Yield(value=value) if value:
            yield value


def _names(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def no_word_of_money(package: Package) -> Iterator[str]:
    for path, text in package.texts(".md", ".yaml", ".yml", ".json", ".toml", ".py"):
        for found in FINANCIAL.finditer(text):
            yield f"{path}: {found[0]}"


def no_host_but_those_of_the_manifest(package: Package) -> Iterator[str]:
    domains = package.manifest["network"]["domains"]
    for path, host in _hosts(package):
        known = host in domains or any(
            domain.startswith("*.") and host.endswith(domain[1:]) for domain in domains
        )
        harmless = re.search(r"(^|\.)example\.com$|\.(test|invalid)$|(^|\.)github\.com$", host) or re.match(
            r"(docs?|developer|learn)\.", host
        )
        if not known and not harmless:
            yield f"{path}: {host}"


def _hosts(package: Package) -> Iterator[tuple[str, str]]:
    for path, module in package.modules():
        for text in _literals(module):
            yield from ((path, host.lower()) for host in _URL_HOST.findall(text))
            if _BARE_HOST.fullmatch(text):
                yield path, text
    for path, text in package.texts(".yaml", ".yml", ".json", ".toml"):
        linked = 0
        for line in text.splitlines():
            indent = len(line) - len(line.lstrip())
            if re.match(rf"\s*(- )?{_LINK_KEYS}:", line):
                linked = indent + 1
            elif line.strip() and indent < linked:
                linked = 0
            if not linked:
                yield from ((path, host.lower()) for host in _URL_HOST.findall(line.partition(" #")[0]))


def _literals(module: ast.Module) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(statement.value)
        for node in ast.walk(module)
        if isinstance(node, documented)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


RULES = (
    nothing_of_version_control_environments_or_caches,
    no_local_file_of_a_person_or_a_system,
    no_program_but_python,
    no_secret,
    the_manifest_is_complete,
    the_author_does_not_pose_as_dify,
    the_repository_the_contact_and_the_domains_are_real_addresses,
    the_version_follows_the_published_one,
    the_privacy_policy_says_what_happens_to_data,
    the_readme_is_english_and_names_the_repository,
    the_readme_tells_how_to_set_up_use_and_connect,
    dependencies_are_bounded_from_below_and_above,
    what_is_imported_is_declared,
    every_python_file_compiles,
    the_icons_are_not_those_of_the_template,
    no_capability_but_the_network,
    every_request_has_a_time_limit,
    no_secret_is_logged_raised_or_returned,
    no_word_of_money,
    no_host_but_those_of_the_manifest,
)
