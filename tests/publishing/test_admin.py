"""What operators see and do with deliveries."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from connections.crypto import seal
from publishing.attempts import note
from publishing.models import Delivery
from publishing.states import DeliveryState

MODELS = ["video", "post", "delivery"]


@pytest.fixture
def operator(db):
    user = User.objects.create_superuser("operator@example.com", "correct horse battery")
    client = Client()
    client.force_login(user)
    return client


def act(operator, action, *deliveries):
    url = reverse("admin:publishing_delivery_changelist")
    data = {"action": action, "_selected_action": [str(one.pk) for one in deliveries]}
    return operator.post(url, data, follow=True).content.decode()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("query", ["", "?q=hello", "?q=01"])
def test_admin_lists_and_searches(operator, acme, make_delivery, model, query):
    make_delivery(acme)

    answer = operator.get(reverse(f"admin:publishing_{model}_changelist") + query)

    assert answer.status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_admin_shows_rows_without_a_way_to_edit_them(operator, acme, make_delivery, model):
    delivery = make_delivery(acme, publish_id="v_pub_file~v2-1.7")
    delivery.record(upload_url=seal(delivery, "upload_url", "https://upload.example/?secret"))
    note(delivery, "status", "uploading", log_id="log-77")
    pk = {"video": delivery.post.video_id, "post": delivery.post_id, "delivery": delivery.pk}[model]

    page = operator.get(reverse(f"admin:publishing_{model}_change", args=[pk])).content.decode()

    ciphertext = Delivery.objects.values_list("upload_url", flat=True).get()
    assert ciphertext
    assert str(ciphertext) not in page
    assert "upload.example" not in page
    assert 'type="text"' not in page.split('id="content"')[1]
    assert "<textarea" not in page
    assert "<select" not in page


def test_admin_shows_the_attempts_of_a_delivery(operator, acme, make_delivery):
    delivery = make_delivery(acme)
    note(delivery, "status", "uploading", log_id="log-77")

    page = operator.get(reverse("admin:publishing_delivery_change", args=[delivery.pk])).content.decode()

    assert "log-77" in page


def test_admin_ignores_a_forged_edit(operator, acme, make_delivery):
    delivery = make_delivery(acme)
    data = {"state": "published", "attempts-TOTAL_FORMS": "0", "attempts-INITIAL_FORMS": "0"}

    operator.post(reverse("admin:publishing_delivery_change", args=[delivery.pk]), data)

    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.SCHEDULED


def test_admin_retries_what_can_be_and_says_what_was_left(operator, acme, make_delivery):
    failed = make_delivery(acme, state=DeliveryState.FAILED, wake_at=None)
    published = make_delivery(acme, state=DeliveryState.PUBLISHED, wake_at=None)

    page = act(operator, "retry", failed, published)

    failed.refresh_from_db()
    published.refresh_from_db()
    assert (failed.state, published.state) == (DeliveryState.SCHEDULED, DeliveryState.PUBLISHED)
    assert "1 started again" in page
    assert "1 left alone, being published" in page


def test_admin_cancels_with_true_words(operator, acme, make_delivery):
    waiting = make_delivery(acme)
    late = make_delivery(acme, state=DeliveryState.PROCESSING, committed_at=timezone.now())

    page = act(operator, "cancel", waiting, late)

    waiting.refresh_from_db()
    late.refresh_from_db()
    assert (waiting.state, late.state) == (DeliveryState.CANCELED, DeliveryState.PROCESSING)
    assert "1 canceled" in page
    assert "1 too late" in page


@pytest.mark.parametrize("model", MODELS)
def test_admin_neither_adds_nor_deletes(operator, acme, make_delivery, model):
    delivery = make_delivery(acme)
    pk = {"video": delivery.post.video_id, "post": delivery.post_id, "delivery": delivery.pk}[model]

    assert operator.get(reverse(f"admin:publishing_{model}_add")).status_code == 403
    assert operator.post(reverse(f"admin:publishing_{model}_delete", args=[pk])).status_code == 403
