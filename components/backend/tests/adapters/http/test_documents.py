"""The OpenAPI document and the pages that show it."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from gonets.core.tasks.model import MAX_TASK_ID


@pytest.fixture
def document(door: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(door.app.openapi()))
    return found


def responses(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                yield f"{method.upper()} {path}", status, response


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))

    assert references
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_operation_has_a_name_a_summary_and_a_description_of_each_answer(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]

    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["tags"] for operation in operations)
    assert all(response["description"] for _, _, response in responses(document))


@pytest.mark.parametrize(
    "area", ["tasks", "notifications", "channels", "contacts", "imports", "suppressions", "templates", "campaigns"]
)
def test_the_introduction_speaks_of_every_area(document: dict[str, Any], area: str) -> None:
    assert f"**{area}**" in document["info"]["description"]


def test_the_introduction_says_where_credentials_come_from(document: dict[str, Any]) -> None:
    for path in ("/auth/signup", "/auth/login", "/auth/refresh", "/api-keys"):
        assert f"/api/v1{path}`" in document["info"]["description"]


def test_every_error_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    statuses: dict[str, set[str]] = {}
    for operation, status, response in responses(document):
        statuses.setdefault(operation, set()).add(status)
        if status >= "400" and "/health" not in operation:
            assert response["content"].keys() == {"application/problem+json"}, (operation, status)
        if status == "503" and "/health" not in operation:
            assert "Retry-After" in response["headers"]
        if status == "202":
            assert "Location" in response["headers"]
    assert statuses == {
        "POST /api/v1/tasks": {"200", "202", "409", "413", "422", "502", "503", "504"},
        "GET /api/v1/tasks": {"200", "422", "503"},
        "GET /api/v1/tasks/{task_id}": {"200", "404", "422", "503"},
        "GET /health/live": {"200"},
        "GET /health/ready": {"200", "503"},
    }


def test_the_limits_of_a_task_are_exact(document: dict[str, Any]) -> None:
    """FastAPI holds numbers as floats, in which 2**63 - 1 is 2**63."""
    task = document["components"]["schemas"]["TaskMessage"]["properties"]
    [path] = document["paths"]["/api/v1/tasks/{task_id}"]["get"]["parameters"]

    for schema in (task["task_id"], path["schema"]):
        assert (schema["minimum"], schema["maximum"]) == (1, MAX_TASK_ID)
        assert isinstance(schema["maximum"], int)
    assert (task["data"]["minLength"], task["data"]["maxLength"]) == (1, 10_000)
    assert re.search(task["data"]["pattern"], "line\nbreak")
    assert not re.search(task["data"]["pattern"], "nul\0")


def test_the_document_is_the_same_however_often_it_is_asked_for(door: Any) -> None:
    assert json.dumps(door.app.openapi()) == json.dumps(door.app.openapi())


@pytest.mark.parametrize("page", ["/api/v1/docs", "/api/v1/redoc"])
async def test_the_pages_need_nothing_from_the_internet(http: httpx.AsyncClient, page: str) -> None:
    answer = await http.get(page)

    assert answer.status_code == 200
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", answer.text)
    assert len(links) >= 3
    assert not [link for link in links if "//" in link]
    for link in links:
        assert (await http.get(link)).status_code == 200, link


async def test_docs_leads_to_swagger(http: httpx.AsyncClient) -> None:
    answer = await http.get("/docs")

    assert answer.status_code == 307
    assert answer.headers["location"] == "/api/v1/docs"


@pytest.mark.parametrize("page", ["/docs", "/api/v1/docs", "/api/v1/redoc", "/api/v1/openapi.json"])
async def test_documents_can_be_closed(make_door: Callable[..., Any], page: str) -> None:
    async with make_door(documentation=False).client() as http:
        assert (await http.get(page)).status_code == 404
