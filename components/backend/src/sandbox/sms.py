"""What an SMS is charged as: GSM 03.38 with 160 places, 153 of several; else UCS-2 with 70, 67."""

GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
TWO_PLACES = frozenset("\f^{}\\[~]|€")


def parts(text: str) -> int:
    if set(text) <= GSM | TWO_PLACES:
        places, alone, joined = [2 if character in TWO_PLACES else 1 for character in text], 160, 153
    else:
        places, alone, joined = [len(character.encode("utf-16-le", "replace")) // 2 for character in text], 70, 67
    if sum(places) <= alone:
        return 1
    count = used = 0
    for place in places:
        if used + place > joined or count == 0:
            count, used = count + 1, 0
        used += place
    return count
