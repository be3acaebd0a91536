"""Pages beside the admin: the start page, and a download that takes as long as one likes."""
import hashlib
import time

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpResponseBadRequest, HttpResponseRedirect, StreamingHttpResponse
from django.views.decorators.http import require_safe

MIB = 1024 * 1024
PIECE = 64 * 1024
LARGEST_MIB = 4096


def start(request):
    return HttpResponseRedirect("/admin/")


def archive_piece(number):
    """64 KiB of the archive, the same ones each time, which do not compress: a test can compute what must arrive."""
    return hashlib.shake_128(b"acme-archive-%d" % (number % 16)).digest(PIECE)


@require_safe
@staff_member_required
def archive(request, megabytes):
    """/reports/archive/<megabytes>/?rate=<KiB a second>: that many MiB as one download; without a rate, as fast as it goes."""
    rate = request.GET.get("rate", "0")
    if not rate.isascii() or not rate.isdigit() or len(rate) > 7 or not 0 < megabytes <= LARGEST_MIB:
        return HttpResponseBadRequest(f"the size is 1 to {LARGEST_MIB} MiB, the rate a number of KiB a second\n")
    pause_s = PIECE / 1024 / int(rate) if int(rate) else 0
    pieces = [archive_piece(i) for i in range(16)]

    def stream():
        for number in range(megabytes * MIB // PIECE):
            if pause_s:
                time.sleep(pause_s)
            yield pieces[number % 16]

    answer = StreamingHttpResponse(stream(), content_type="application/octet-stream")
    answer["Content-Length"] = str(megabytes * MIB)
    answer["Content-Disposition"] = f'attachment; filename="archive-{megabytes}.bin"'
    return answer
