"""The least that FastAPI can do: what the catalog's lists and offers are compared with."""

from fastapi import FastAPI


def create() -> FastAPI:
    """An application with one route, as the first page of FastAPI's manual has it."""
    app = FastAPI()

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"message": "Hello World"}

    return app
