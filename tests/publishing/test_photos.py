"""Photo posts: what is taken in, the posting page, and the way to the real sandbox, which fetches every picture."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.utils import timezone
from PIL import ExifTags, Image

from accounts.models import Membership
from accounts.scopes import System, system_scope
from connections.providers import provider_for
from publishing import photos, services
from publishing.models import Delivery, Photo, Post, PostKind, StorageReservation
from publishing.photo_uploads import PhotoUploadHandler
from publishing.receiving import incoming_folder, receive_stream
from publishing.refusals import VideoRefusedError
from publishing.states import DeliveryState, HoldReason
from tests.publishing.pictures import moving_webp, picture
from tests.publishing.test_engine import drive
from tests.publishing.test_pull import downloaded, finish

pytestmark = pytest.mark.django_db
NEW = "/w/acme/posts/new/photos/"
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


def file(content=None, name="one.jpg"):
    return SimpleUploadedFile(name, picture() if content is None else content)


def store(workspace, content=None, *, name="one.jpg"):
    received = receive_stream(io.BytesIO(picture() if content is None else content), name=name)
    return photos.store_photo(
        workspace=workspace, user=None, received=received, provider=provider_for("tiktok")
    )


# --- Taking in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "suffix"),
    [(picture("JPEG"), "image/jpeg", ".jpg"), (picture("WEBP"), "image/webp", ".webp")],
)
def test_a_photo_is_kept_with_its_type_size_and_checksum(acme, content, kind, suffix):
    photo = store(acme, content, name="../../sunset.png")

    assert photo.content_type == kind
    assert photo.file.name == f"photos/{acme.pk}/{photo.pk}{suffix}"
    assert (photo.width, photo.height, photo.total_bytes) == (90, 160, len(content))
    assert photo.sha256 == hashlib.sha256(content).hexdigest()
    with photo.file.open() as stored:
        assert stored.read() == content


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        pytest.param(picture("PNG"), "format_unsupported", "JPEG and WebP", id="png"),
        pytest.param(picture("GIF"), "format_unsupported", "GIF", id="gif"),
        pytest.param(moving_webp(), "animated", "stand still", id="moving webp"),
        pytest.param(b"no picture at all", "unreadable", "no picture", id="text"),
        pytest.param(picture(width=1000, height=800)[:-2000], "damaged", "damaged", id="cut off"),
        pytest.param(picture(width=2000, height=3000)[:-2000], "damaged", "damaged", id="large and cut off"),
        pytest.param(picture(width=10_000, height=5_001), "too_big", "too many pixels", id="pixels"),
        pytest.param(
            picture("WEBP", width=5000, height=2501), "too_big", "too many pixels", id="pixels of a webp"
        ),
        pytest.param(picture() + b"0" * 20_000_000, "too_large", "20 MB", id="bytes"),
    ],
)
def test_a_photo_that_tiktok_does_not_take_is_refused_and_not_kept(acme, content, code, words):
    with pytest.raises(VideoRefusedError) as refused:
        store(acme, content)

    assert refused.value.code == code
    assert words in refused.value.message
    assert not Photo.objects.exists()


@pytest.mark.parametrize(("width", "height"), [(1080, 1920), (1920, 1080)])
def test_1080p_is_taken_upright_and_across(acme, width, height):
    assert store(acme, picture(width=width, height=height)).width == width


@pytest.mark.parametrize(
    ("sides", "kept"),
    [
        ((1081, 1200), (1080, 1199)),
        ((1080, 1921), (1079, 1920)),
        ((3024, 4032), (1080, 1440)),
        ((4032, 3024), (1440, 1080)),
        ((3000, 3000), (1080, 1080)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_photo_with_too_many_pixels_is_made_to_fit(acme, kind, sides, kept):
    photo = store(acme, picture(kind, width=sides[0], height=sides[1]))

    with photo.file.open() as stored:
        content = stored.read()
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == (kind, kept)
    assert (photo.width, photo.height) == kept
    assert (photo.total_bytes, photo.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert photo.content_type == f"image/{kind.lower()}"
    assert not list(incoming_folder().iterdir())
    assert not StorageReservation.objects.exists()


def test_a_photo_that_is_made_smaller_stands_upright_and_tells_no_place(acme):
    """Of a camera held upright: stored lying on its side, its top at the left, with the place where it was taken."""
    lying = Image.new("RGB", (2400, 1800), "blue")
    lying.paste("red", (0, 0, 1200, 1800))
    notes = Image.Exif()
    notes[ExifTags.Base.Orientation] = 6
    notes[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitude: (53.0, 33.0, 0.0)}
    buffer = io.BytesIO()
    lying.save(buffer, "JPEG", exif=notes)

    photo = store(acme, buffer.getvalue())

    with photo.file.open() as stored, Image.open(stored) as image:
        assert image.size == (1080, 1440)
        assert not image.getexif()
        top, bottom = image.getpixel((540, 100)), image.getpixel((540, 1340))
    assert top[0] > 200 > 50 > top[2]
    assert bottom[2] > 200 > 50 > bottom[0]


@pytest.mark.parametrize(
    ("mode", "kind", "kept"), [("CMYK", "JPEG", "RGB"), ("L", "JPEG", "L"), ("RGBA", "WEBP", "RGBA")]
)
def test_a_photo_of_another_kind_of_color_is_made_smaller_too(acme, mode, kind, kept):
    buffer = io.BytesIO()
    fill = {"CMYK": (200, 10, 10, 10), "L": 90, "RGBA": (10, 90, 200, 90)}[mode]
    Image.new(mode, (2000, 2000), fill).save(buffer, kind)

    photo = store(acme, buffer.getvalue())

    with photo.file.open() as stored, Image.open(stored) as image:
        assert (image.mode, image.size) == (kept, (1080, 1080))


def test_a_reference_is_good_for_its_workspace_alone_and_not_once_used(acme, rival):
    photo = store(acme)
    reference = photos.sign_kept_photo(photo)

    assert photos.find_kept_photos([reference, reference], workspace=acme) == [photo]
    assert photos.find_kept_photos([reference], workspace=rival) == []
    altered = reference[:-1] + ("A" if reference[-1] != "A" else "E")
    assert photos.find_kept_photos([altered, str(photo.pk), ""], workspace=acme) == []
    photo.post = Post.objects.create(workspace=acme, kind=PostKind.PHOTO)
    photo.save()
    assert photos.find_kept_photos([reference], workspace=acme) == []


def test_photos_that_no_post_took_are_cleaned_up_after_a_day(acme, django_capture_on_commit_callbacks):
    old, fresh, used = store(acme), store(acme), store(acme)
    Photo.objects.filter(pk=used.pk).update(post=Post.objects.create(workspace=acme, kind=PostKind.PHOTO))
    Photo.objects.exclude(pk=fresh.pk).update(created_at=timezone.now() - timedelta(hours=25))

    with django_capture_on_commit_callbacks(execute=True):
        count = photos.clean_up_photos(now=timezone.now())

    assert count == 1
    assert set(Photo.objects.all()) == {fresh, used}
    assert not old.file.storage.exists(old.file.name)
    assert used.file.storage.exists(used.file.name)


@pytest.mark.parametrize("kind", [PostKind.VIDEO, PostKind.PHOTO])
def test_the_database_holds_a_post_to_its_kind(acme, make_video, kind):
    video = None if kind == PostKind.VIDEO else make_video(acme)

    with pytest.raises(IntegrityError), transaction.atomic():
        Post.objects.create(workspace=acme, kind=kind, video=video)


# --- The posting page -------------------------------------------------------------------------------------------------


@pytest.fixture
def connection(acme, make_connection, settings):
    settings.TIKTOK_PULL_URL_PREFIX = "https://broadside.example.com/media/pull/"
    return make_connection(acme, is_primary=True)


@pytest.fixture
def editor(erin, browser_of, connection, creator):
    return browser_of(erin)


@pytest.fixture
def send(editor, connection):
    """Send the form with good values and one photo, changed as told; None leaves a field out."""

    def post(**changes):
        data = {
            "connection": str(connection.pk),
            "submission_key": str(uuid.uuid4()),
            "mode": "direct",
            "title": "Harbor",
            "caption": "Morning #harbor",
            "privacy_level": "SELF_ONLY",
            "photos": [file()],
        }
        data = {name: value for name, value in (data | changes).items() if value is not None}
        return editor.post(NEW, data)

    return post


def kept_in(page):
    return re.findall(r'name="kept" value="([^"]+)"', page.content.decode())


def test_the_page_shows_only_what_photos_have(editor):
    page = editor.get(NEW).content.decode()

    assert 'name="allow_comment"' in page
    assert 'name="adds_music"' in page
    assert 'name="allow_duet"' not in page
    assert 'name="allow_stitch"' not in page
    assert 'name="cover_seconds"' not in page
    assert "By posting, you agree to TikTok" in page


def test_without_a_verified_address_the_page_says_why(editor, settings):
    settings.TIKTOK_PULL_URL_PREFIX = ""
    provider_for.cache_clear()

    shown, sent = editor.get(NEW), editor.post(NEW, {"photos": [file()]})

    assert "TIKTOK_PULL_URL_PREFIX" in shown.content.decode()
    assert sent.status_code == 422
    assert not Photo.objects.exists()


def test_a_viewer_and_a_stranger_get_nowhere(vic, mallory, browser_of, connection, creator):
    assert browser_of(vic).get(NEW).status_code == 403
    assert browser_of(mallory).get(NEW).status_code == 404


def test_a_good_form_becomes_one_post_with_its_photos_and_choices(send):
    answer = send(
        photos=[file(picture(shade=1), "a.jpg"), file(picture("WEBP"), "b.webp")],
        allow_comment="on",
        adds_music="on",
        is_ai_generated="on",
        disclose="on",
        is_own_brand="on",
    )

    [post] = Post.objects.all()
    [delivery] = post.deliveries.all()
    assert answer.status_code == 302
    assert (post.kind, post.title, post.caption) == ("photo", "Harbor", "Morning #harbor")
    assert [one.original_name for one in post.photos.order_by("position")] == ["a.jpg", "b.webp"]
    assert delivery.total_bytes == sum(one.total_bytes for one in post.photos.all())
    assert delivery.options["adds_music"] is True
    assert delivery.options["is_ai_generated"] is True
    assert delivery.options["is_own_brand"] is True
    assert delivery.options["cover_index"] == 0
    assert delivery.publish_options.title == "Harbor"


def test_photos_are_put_in_order_and_the_cover_is_chosen_without_a_script(send):
    first = send(intent="add", photos=[file(picture(shade=n), f"{n}.jpg") for n in (1, 2, 3)])
    one, two, three = Photo.objects.order_by("created_at")
    places = {f"position-{one.pk}": "3", f"position-{two.pk}": "1", f"position-{three.pk}": "2"}

    sent = send(photos=None, kept=kept_in(first), cover=str(one.pk), **places)

    [post] = Post.objects.all()
    assert first.status_code == 200
    assert sent.status_code == 302
    assert list(post.photos.order_by("position")) == [two, three, one]
    assert post.deliveries.get().options["cover_index"] == 2


def test_a_photo_can_be_removed(send):
    first = send(intent="add", photos=[file(picture(shade=1), "a.jpg"), file(picture(shade=2), "b.jpg")])
    gone = Photo.objects.get(original_name="a.jpg")

    second = send(intent=f"remove:{gone.pk}", photos=None, kept=kept_in(first))

    assert [one.original_name for one in Photo.objects.all()] == ["b.jpg"]
    assert len(kept_in(second)) == 1


def test_too_many_posts_cost_no_photo_and_no_word(send, settings):
    settings.USER_RATE_LIMITS = {"connect": 0, "post": 1}
    assert send().status_code == 302

    page = send(caption="my long thought")

    assert page.status_code == 429
    assert int(page["Retry-After"]) > 0
    assert "my long thought" in page.content.decode()
    assert len(kept_in(page)) == 1
    assert Post.objects.count() == 1


def test_a_bad_photo_is_named_and_the_good_ones_are_kept(send):
    page = send(photos=[file(), file(picture("PNG"), "logo.png"), file(b"", "none.jpg")])

    text = page.content.decode()
    assert page.status_code == 422
    assert "logo.png: This is a PNG picture; TikTok takes JPEG and WebP." in text
    assert len(kept_in(page)) == 1
    assert not Post.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"photos": None}, "Choose at least one photo.", id="no photo"),
        pytest.param({"title": "x" * 91}, "91 of at most 90", id="title"),
        pytest.param({"title": "🌊" * 46}, "92 of at most 90", id="title in emoji"),
        pytest.param({"caption": "x" * 4001}, "4,001 of at most 4,000", id="description"),
        pytest.param({"mode": "inbox", "title": "x" * 91}, "91 of at most 90", id="title of a draft"),
        pytest.param({"privacy_level": ""}, "Choose who can see these photos.", id="nobody chosen"),
        pytest.param(
            {"disclose": "on"}, "You need to indicate if your content promotes yourself", id="disclosure"
        ),
        pytest.param(
            {"disclose": "on", "is_paid_partnership": "on"},
            "Branded content visibility cannot be set to private.",
            id="paid and private",
        ),
    ],
)
def test_a_bad_form_says_what_is_wrong_and_keeps_the_photos(send, changes, words):
    page = send(**changes)

    assert page.status_code == 422
    assert words in page.content.decode()
    assert len(kept_in(page)) == (0 if changes.get("photos", 1) is None else 1)
    assert not Post.objects.exists()


def test_a_36th_photo_is_left_out_with_words(send):
    page = send(photos=[file(picture(shade=n), f"{n}.jpg") for n in range(36)])

    assert page.status_code == 422
    assert "35.jpg: A post holds at most 35 photos" in page.content.decode()
    assert len(kept_in(page)) == 35


def test_a_caption_of_4000_that_no_video_could_have_is_taken(send):
    assert send(caption="x" * 4000).status_code == 302


def test_a_second_click_is_no_second_post(send):
    key = str(uuid.uuid4())

    send(submission_key=key)
    send(submission_key=key)

    assert Post.objects.count() == 1
    assert Photo.objects.count() == 1


def test_who_is_taken_out_while_the_photos_are_on_their_way_publishes_nothing(send, erin, monkeypatch):
    take = PhotoUploadHandler.receive_data_chunk

    def be_taken_out(*args):
        with system_scope(System.COMMAND):  # somebody else does it, in a request of their own
            Membership.objects.filter(user=erin).delete()
        return take(*args)

    monkeypatch.setattr(PhotoUploadHandler, "receive_data_chunk", be_taken_out)

    assert send().status_code == 404
    assert not Post.objects.exists()


def test_photos_of_others_are_not_taken_by_their_reference(send, rival):
    foreign = photos.sign_kept_photo(store(rival))

    page = send(photos=None, kept=[foreign])

    assert page.status_code == 422
    assert "no longer kept" in page.content.decode()


def test_a_post_of_photos_is_shown_in_the_list_and_on_its_page(send, editor):
    send()
    post, photo = Post.objects.get(), Photo.objects.get()
    url = f"/w/acme/photos/{photo.pk}/file/"

    listed = editor.get("/w/acme/posts/").content.decode()
    shown = editor.get(f"/w/acme/posts/{post.pk}/").content.decode()
    sent = editor.get(url)

    assert url in listed
    assert "Harbor" in listed
    assert url in shown
    assert "Morning #harbor" in shown
    assert sent["Content-Type"] == "image/jpeg"
    assert sent["X-Content-Type-Options"] == "nosniff"
    assert b"".join(sent.streaming_content) == picture()


def test_a_stranger_does_not_see_a_photo(acme, mallory, browser_of, client):
    url = f"/w/acme/photos/{store(acme).pk}/file/"

    assert browser_of(mallory).get(url).status_code == 404
    assert client.get(url).status_code == 302


def test_photos_of_another_workspace_or_post_make_no_post(acme, rival, make_connection):
    values = {
        "workspace": acme,
        "user": None,
        "connection": make_connection(acme),
        "title": "",
        "caption": "",
        "mode": "direct",
        "options": {},
    }
    used = store(acme)
    Photo.objects.filter(pk=used.pk).update(post=Post.objects.create(workspace=acme, kind=PostKind.PHOTO))

    for photo in (store(rival), used):
        with pytest.raises(ValueError, match=r"workspace|another post"):
            services.create_photo_post(photos=[photo], **values)


# --- To the platform --------------------------------------------------------------------------------------------------


@pytest.fixture
def photo_delivery(acme, connect, pulls):
    """Return a maker of photo deliveries that are due."""

    def make(count=2, *, mode="direct", creator="demo.public", **options):
        post = Post.objects.create(
            workspace=acme, kind=PostKind.PHOTO, title="Harbor", caption="Morning #harbor"
        )
        for place in range(count):
            photo = store(acme, picture(shade=place))
            Photo.objects.filter(pk=photo.pk).update(post=post, position=place)
        return Delivery.objects.create(
            workspace=acme,
            post=post,
            connection=connect(acme, creator),
            mode=mode,
            options=PUBLIC | options if mode == "direct" else options,
            total_bytes=sum(one.total_bytes for one in post.photos.all()),
            wake_at=timezone.now(),
        )

    return make


@pytest.mark.django_db(transaction=True)
def test_photos_are_published_in_order_with_texts_and_choices(photo_delivery, tiktok):
    delivery = photo_delivery(3, cover_index=1, adds_music=True, is_ai_generated=True, is_own_brand=True)

    done = finish(delivery, tiktok)

    [post], [task] = tiktok.posts(), tiktok.control("GET", "/tasks")
    sums = [one.sha256 for one in done.post.photos.order_by("position")]
    info = task["post_info"]
    assert done.state == DeliveryState.PUBLISHED
    assert done.platform_post_ids == [str(post["post_id"])]
    assert (post["title"], post["caption"]) == ("Harbor", "Morning #harbor")
    assert [one["sha256"] for one in task["files"]] == sums
    assert task["cover_index"] == 1
    assert (info["auto_add_music"], info["is_aigc"], info["brand_organic_toggle"]) == (True, True, True)
    assert info["disable_comment"] is True
    assert tiktok.control("GET", "/requests")["warnings"] == []


@pytest.mark.django_db(transaction=True)
def test_a_draft_of_photos_goes_to_the_inbox_with_its_texts(photo_delivery, tiktok):
    delivery = photo_delivery(mode="inbox")
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=3)
    downloaded(tiktok)

    done = drive(delivery, until={DeliveryState.IN_INBOX})

    [task] = tiktok.control("GET", "/tasks")
    assert done.state == DeliveryState.IN_INBOX
    assert task["post_info"]["title"] == "Harbor"
    assert task["post_info"]["description"] == "Morning #harbor"
    assert "privacy_level" not in task["post_info"]


@pytest.mark.django_db(transaction=True)
def test_an_app_too_old_for_photo_drafts_is_told_to_the_creator(photo_delivery, tiktok):
    tiktok.control("PATCH", "/creators/demo.public", {"app_version": "31.0"})

    failed = drive(photo_delivery(mode="inbox"))

    assert (failed.state, failed.reason_code) == (DeliveryState.FAILED, "app_version_check_failed")
    assert "Update the TikTok app" in failed.reason_next_step


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", [{"drop": "before"}, {"drop": "after"}, {"status": 502, "process": True}])
def test_a_photo_request_of_unknown_end_is_held(photo_delivery, tiktok, action):
    tiktok.fault({"endpoint": "content_init"}, action)

    held = finish(photo_delivery(), tiktok)

    assert (held.state, held.hold_reason) == (DeliveryState.HELD, HoldReason.UNCONFIRMED)
    assert tiktok.control("GET", "/requests")["counts"]["content_init"] == 1
    assert len(tiktok.posts()) <= 1


@pytest.mark.django_db(transaction=True)
def test_a_photo_that_is_gone_is_said_before_anything_is_sent(photo_delivery, tiktok):
    delivery = photo_delivery()
    photo = delivery.post.photos.get(position=1)
    photo.file.storage.delete(photo.file.name)

    failed = drive(delivery)

    assert (failed.state, failed.reason_code) == (DeliveryState.FAILED, "file_missing")
    assert tiktok.control("GET", "/tasks") == []


@pytest.mark.django_db(transaction=True)
def test_photos_still_fetch_where_videos_are_uploaded(photo_delivery, tiktok, settings):
    settings.TIKTOK_PULL_VIDEOS = False
    provider_for.cache_clear()

    assert finish(photo_delivery(1), tiktok).state == DeliveryState.PUBLISHED


def test_an_operator_sees_a_photo_and_cannot_change_it(acme, admin_client):
    photo = store(acme)
    url = f"/admin/publishing/photo/{photo.pk}/change/"

    shown = admin_client.get(url)
    admin_client.post(url, {"position": "7"})

    photo.refresh_from_db()
    assert shown.status_code == 200
    assert photo.sha256 in shown.content.decode()
    assert photo.position == 0
