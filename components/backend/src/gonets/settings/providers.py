"""Those who are asked, and those by whom the operator's channels go."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gonets.settings.group import Group, HttpUrl, Key, Port, Seconds


class Dadata(Group, env_prefix="DADATA_"):
    """Dadata, which cleans phone numbers and e-mail addresses."""

    api_key: Key = SecretStr("")
    secret_key: Key = SecretStr("")
    phone_api_url: HttpUrl = "https://cleaner.dadata.ru/api/v1/clean/phone"
    email_api_url: HttpUrl = "https://cleaner.dadata.ru/api/v1/clean/email"
    timeout: Seconds = 10
    rate: Annotated[float, Field(ge=0)] = 20
    max_in_flight: Annotated[int, Field(ge=0)] = 0
    repeat_unknown: bool = True


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535 or "/" in host:
        raise ValueError("must be host:port, without a scheme")
    return value


_GPT_PROMPT = "Найди ошибки в тексте и исправь их"


class YandexGPT(Group, env_prefix="YANDEXGPT_"):
    """YandexGPT, which corrects texts. FOLDER_ID and IAM_TOKEN are known under these names elsewhere too."""

    folder_id: Annotated[str, Field(validation_alias="FOLDER_ID")] = ""
    iam_token: Annotated[Key, Field(validation_alias="IAM_TOKEN")] = SecretStr("")
    api_key: Key = SecretStr("")
    endpoint: Annotated[str, AfterValidator(_address)] = "llm.api.cloud.yandex.net:443"
    insecure: bool = False
    model: str = "yandexgpt"
    system_prompt: str = _GPT_PROMPT
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.3
    max_tokens: Annotated[int, Field(ge=1)] = 2000
    timeout: Seconds = 60
    rate: Annotated[float, Field(ge=0)] = 0
    max_in_flight: Annotated[int, Field(ge=0)] = 10
    repeat_unknown: bool = True


class Telegram(Group, env_prefix="TELEGRAM_"):
    """The Telegram Bot API, and the operator's bot."""

    bot_token: Key = SecretStr("")
    api_url: HttpUrl = "https://api.telegram.org"


class Slack(Group, env_prefix="SLACK_"):
    """Where what is at hooks.slack.com is to be found."""

    api_url: HttpUrl = "https://hooks.slack.com"


class Twilio(Group, env_prefix="TWILIO_"):
    """Twilio, and the operator's account there."""

    account_sid: str = ""
    auth_token: Key = SecretStr("")
    from_: Annotated[str, Field(validation_alias="TWILIO_FROM")] = ""
    messaging_service_sid: str = ""
    api_url: HttpUrl = "https://api.twilio.com"


class SmsAero(Group, env_prefix="SMSAERO_"):
    """SMSAero, and the operator's account there."""

    email: str = ""
    api_key: Key = SecretStr("")
    sign: str = ""
    api_url: HttpUrl = "https://gate.smsaero.ru/v2"


class Email(Group, env_prefix="EMAIL_"):
    """The operator's mail server."""

    host: str = ""
    port: Port = 587
    username: str = ""
    password: SecretStr = SecretStr("")
    from_: Annotated[str, Field(validation_alias="EMAIL_FROM")] = ""
    use_tls: bool = True


class Smtp(Group, env_prefix="SMTP_"):
    """The operator's gateway that makes SMS of mails."""

    host: str = ""
    port: Port = 587
    username: str = ""
    password: SecretStr = SecretStr("")
    from_: Annotated[str, Field(validation_alias="SMTP_FROM")] = ""
    use_tls: bool = True
    gateway_domain: str = ""


class Smpp(Group, env_prefix="SMPP_"):
    """The operator's account at an SMS centre."""

    host: str = ""
    port: Port = 2775
    system_id: str = ""
    password: SecretStr = SecretStr("")
    source_address: str = ""
    use_tls: bool = False
