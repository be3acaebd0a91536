"""Login tied to the person: Django's RemoteUser, fed by the gateway's assertion and by nothing else.

Every request must carry a good assertion, also one with a session cookie: a stolen cookie is worth nothing. The user
is made on first sight, with staff rights over the support data and nothing more (no user or password management).
"""
import logging

from django.conf import settings
from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.contrib.auth.models import Permission
from django.http import HttpResponse

from . import gateway

log = logging.getLogger(__name__)
keys = gateway.Keys(settings.GATEWAY_JWKS, settings.GATEWAY_JWKS_CA)

REFUSED = """Refused: this tool is reached through the Countersign gateway only.

Why: {why}.
Next: open https://{host}/ with your client certificate.
"""


class GatewayLoginMiddleware(RemoteUserMiddleware):
    # Not an HTTP_ name: only this middleware can set it, no client field becomes it.
    header = "COUNTERSIGN_IDENTITY"

    def __call__(self, request):
        try:
            token = request.META.pop("HTTP_COUNTERSIGN_ASSERTION", "")
            if not token:
                raise gateway.NotVouchedFor("the request carries no Countersign-Assertion")
            claims = gateway.verify(token, keys, settings.GATEWAY_AUDIENCE, settings.GATEWAY_ISSUER)
        except gateway.NotVouchedFor as problem:
            log.warning("refused %s %s: %s", request.method, request.path, problem)
            text = REFUSED.format(why=problem, host=settings.PUBLIC_HOST)
            return HttpResponse(text, status=403, content_type="text/plain; charset=utf-8")
        request.META[self.header] = claims["sub"]
        return super().__call__(request)


class GatewayBackend(RemoteUserBackend):
    def configure_user(self, request, user, created=True):   # Django 3.2 asks for new users only, and without the last argument
        if not created:
            return user
        user.set_unusable_password()
        user.email = user.username if "@" in user.username else ""
        user.is_staff = True
        user.save()
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="support"))
        return user
