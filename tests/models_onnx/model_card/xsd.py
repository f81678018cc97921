"""As much of XML Schema as CHAI's schema uses: named types, sequences, occurrences, strings."""

from pathlib import Path
from xml.etree.ElementTree import Element, parse

_XS = "{http://www.w3.org/2001/XMLSchema}"


class Schema:
    """A schema file; `problems` says what in a document is not as it says."""

    def __init__(self, path: Path) -> None:
        root = parse(path).getroot()  # noqa: S314 - a published schema from a folder of ours
        self.namespace = str(root.get("targetNamespace"))
        self.types = {str(found.get("name")): found for found in root.findall(f"{_XS}complexType")}
        self.roots = {str(found.get("name")): found for found in root.findall(f"{_XS}element")}

    def problems(self, document: Element) -> list[str]:
        """Every element that is missing, out of place or unknown."""
        name = self._local(document)
        if name not in self.roots:
            return [f"{document.tag} is no root of the schema"]
        declared = self.roots[name].find(f"{_XS}complexType")
        assert declared is not None
        return self._of_type(document, declared, name)

    def _of_type(self, element: Element, declared: Element, path: str) -> list[str]:
        sequence = declared.find(f"{_XS}sequence")
        assert sequence is not None
        repeats = sequence.get("maxOccurs") == "unbounded"
        children, problems = list(element), []
        while True:
            before = len(children)
            problems += self._sequence(children, sequence, path, optional=sequence.get("minOccurs") == "0")
            if not repeats or not children or len(children) == before:
                break
        return problems + [f"{path}: {child.tag} is unknown or out of place" for child in children]

    def _sequence(self, children: list[Element], sequence: Element, path: str, optional: bool) -> list[str]:
        problems: list[str] = []
        if optional and not children:
            return problems
        for item in sequence.findall(f"{_XS}element"):
            name = item.get("name")
            if name is None:
                continue  # a signature, which is optional
            least, most = int(item.get("minOccurs", "1")), item.get("maxOccurs", "1")
            found = 0
            while children and self._local(children[0]) == name and (most == "unbounded" or found < int(most)):
                problems += self._element(children.pop(0), item, f"{path}/{name}")
                found += 1
            if found < least:
                problems.append(f"{path}/{name} is missing")
        return problems

    def _element(self, element: Element, item: Element, path: str) -> list[str]:
        kind = str(item.get("type"))
        if kind.startswith("xs:"):
            return [f"{path} is text and has elements"] if len(element) else []
        return self._of_type(element, self.types[kind.removeprefix("mc:")], path)

    def _local(self, element: Element) -> str:
        return element.tag.removeprefix(f"{{{self.namespace}}}")
