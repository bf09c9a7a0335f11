"""A person presses Start, and the scheduler hears it."""

import httpx

from acceptance.stack import Installation, wait_for

TOKEN = "123456789:the-own-bot"


def test_a_contact_s_chat_is_known_soon_after_start_was_pressed(installation: Installation) -> None:
    installation.start("sandbox", SANDBOX_BOT_PORT="0")
    installation.launch("scheduler", ENVIRONMENT="development", SCHEDULER_LISTEN_INTERVAL="0.2")
    api = installation.start("api", ENVIRONMENT="development")
    with httpx.Client(base_url=f"{api.url}/api/v1", timeout=30) as http:
        credentials = {"email": "anna@example.com", "password": "correct horse battery"}
        signed_up = http.post("/auth/signup", json=credentials).json()
        http.headers["Authorization"] = f"Bearer {signed_up['accessToken']}"
        bot = {"name": "Bot", "type": "TELEGRAM", "configuration": {"botToken": TOKEN}}
        http.post("/notifications/channels", json=bot).raise_for_status()
        contact = http.post("/contacts", json={"name": "Иван"}).json()["id"]
        link = http.post(f"/contacts/{contact}/telegram-link").json()["link"]
        said = {"token": TOKEN, "chatId": "987654321", "text": f"/start {link.partition('=')[2]}", "firstName": "Ivan"}
        httpx.post(f"{installation.sandbox_url}/control/telegram/messages", json=said, timeout=30).raise_for_status()

        def chat() -> str | None:
            found: str | None = http.get(f"/contacts/{contact}").json()["telegramChatId"]
            return found

        wait_for(lambda: chat() == "987654321", lambda: f"the chat is {chat()}", timeout=60)
