"""The inbox: what people got, as JSON and as a page."""

from sandbox.inbox import Inbox


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
