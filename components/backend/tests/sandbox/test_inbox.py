"""The inbox: what people got, as JSON and as a page."""

import re

from sandbox.inbox import Inbox
from sandbox.page import inbox_page


def test_messages_are_listed_and_filtered():
    inbox = Inbox(size=3)
    for number in range(5):
        inbox.add("telegram", to=str(number % 2), sender="bot", text=f"привет {number}")
    listed = inbox.listing(10)
    assert [message["text"] for message in listed["messages"]] == ["привет 2", "привет 3", "привет 4"]
    assert listed["last_seq"] == 5
    assert [message.seq for message in inbox.select(to="0")] == [3, 5]
    assert [message.seq for message in inbox.select(since=4)] == [5]
    assert not list(inbox.select(provider="slack"))
    assert [message["seq"] for message in inbox.listing(1)["messages"]] == [5]
    inbox.clear()
    assert inbox.listing(10) == {"messages": [], "last_seq": 5}


def test_the_page_comes_to_rest_and_shows_what_came_as_text():
    """A browser that waits until nothing more happens hangs on a page that loads itself again."""
    inbox = Inbox()
    assert "Nothing has come yet." in inbox_page(inbox, [])
    inbox.add(
        "telegram", to="5", sender="bot", text="<script>alert(1)</script>", subject="<b>", details={"a": "</pre>"}
    )
    shown = inbox_page(inbox, [])
    assert "http-equiv" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "&lt;/pre&gt;" in shown
    assert '<article id="message-1">' in shown
    state = re.findall('data-state="(.*?)"', shown)
    inbox.add("telegram", to="5", sender="bot", text="another")
    assert re.findall('data-state="(.*?)"', inbox_page(inbox, [])) != state, "by this the page knows of news"
