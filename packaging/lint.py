"""What `make lint` asks of the Python files: they compile, import nothing that they do not use, name nothing that is not there.

Debian has pyflakes, but these few checks need no further package. Local names are left to the tests.
"""
import ast
import sys


def unused_imports(tree, text):
    """Names that an import binds and nothing in the file mentions again."""
    exported = [n.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
                for t in node.targets if isinstance(t, ast.Name) and t.id == "__all__" for n in node.value.elts]
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | set(exported)
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for alias in node.names:
            name = (alias.asname or alias.name).split(".")[0]
            if name not in used and "noqa" not in text.splitlines()[node.lineno - 1].replace("noqa: E402", ""):
                yield node.lineno, f"{name} is imported and not used"


def repeated_definitions(tree):
    """Two tests of one name: the first would never run."""
    for scope in [tree, *[n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]]:
        seen = {}
        for node in scope.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.decorator_list:
                if node.name in seen:
                    yield node.lineno, f"{node.name} is defined already in line {seen[node.name]}"
                seen[node.name] = node.lineno


def plain_f_strings(tree):
    inner = {id(n.format_spec) for n in ast.walk(tree) if isinstance(n, ast.FormattedValue) and n.format_spec}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in inner:
            if not any(isinstance(v, ast.FormattedValue) for v in node.values):
                yield node.lineno, "an f-string without a field"


def main(paths):
    failed = False
    for path in paths:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        try:
            tree = ast.parse(text, path)
            compile(text, path, "exec")
        except SyntaxError as e:
            print(f"{path}:{e.lineno}: {e.msg}")
            failed = True
            continue
        found = [*unused_imports(tree, text), *repeated_definitions(tree), *plain_f_strings(tree)]
        found += [(n, "longer than 140 characters") for n, line in enumerate(text.splitlines(), 1) if len(line) > 140]
        for number, what in found:
            print(f"{path}:{number}: {what}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
