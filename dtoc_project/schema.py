"""The OpenAPI document: every route answers errors as problem documents, so it says so once."""

from typing import Any

PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem document",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "a URI that serves its documentation"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is, what was expected, what to do"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {"type": "string", "description": "JSON Pointer into the body"},
                    "code": {"type": "string"},
                },
            },
        },
    },
}
METHODS = {"get", "post", "put", "patch", "delete"}


def with_problem_responses(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """``result`` with a default answer, the problem document, on every operation."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    reference = {"$ref": "#/components/schemas/Problem"}
    answer = {
        "description": "What went wrong",
        "content": {"application/problem+json": {"schema": reference}},
    }
    for path in result["paths"].values():
        for method in METHODS & path.keys():
            path[method]["responses"].setdefault("default", answer)
    return result


def with_dual_update(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """``result`` says that a single event may be answered by its twin, which events cannot know."""
    answers = result["components"]["schemas"].get("EventsAnswer")
    twin = {"$ref": "#/components/schemas/Twin"}
    if answers is not None and twin not in answers["oneOf"]:
        answers["oneOf"].append(twin)
    return result
