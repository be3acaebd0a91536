"""The demo's data: invented, and the same on every machine, so that tests can name what they look for."""
import datetime
import random

from .models import ApiKey, Audience, Contact, Customer, StaffNote

SEED = 20220318
CUSTOMERS = 400
FIRST_DAY = datetime.date(2019, 1, 7)
DAYS = 1100

FIRST_WORDS = ["Amber", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Granite", "Harbour", "Indigo", "Juniper", "Kestrel", "Linden",
               "Maple", "North", "Ocean", "Pine", "Quarry", "River", "Silver", "Timber"]
SECOND_WORDS = ["Bakery", "Books", "Bikes", "Coins", "Clinic", "Dance", "Energy", "Farms", "Games", "Gallery", "Kitchen", "Labs",
                "Ledger", "Music", "Outdoor", "Pets", "Print", "School", "Travel", "Wallet"]
FIRST_NAMES = ["Ada", "Ben", "Chloe", "Daan", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lena", "Milan", "Noor", "Omar",
               "Petra", "Quinn", "Rosa", "Sami", "Tara", "Uma", "Viktor", "Wanda", "Yara", "Zoe"]
LAST_NAMES = ["Abel", "Berg", "Costa", "Dahl", "Evans", "Fischer", "Garcia", "Haas", "Ito", "Jansen", "Kovac", "Lopez", "Moreau", "Novak",
              "Okafor", "Popov", "Rossi", "Silva", "Tanaka", "Usman", "Varga", "Weber", "Young", "Zhang"]
AUDIENCES = ["Newsletter", "Customers", "Waiting list", "Press", "Partners", "Event guests", "Beta testers"]
COUNTRIES = ["AT", "BE", "BR", "CA", "DE", "ES", "FR", "GB", "IT", "JP", "NL", "PL", "PT", "SE", "US"]
NOTES = ["Asked how to warm up a new sending domain.", "Reported a bounce rate of 9 %; list was bought, warned once.",
         "Invoice sent again to the accounts address.", "Wants to move two audiences to another account.",
         "Called about a login from abroad; was the owner on holiday.", "Upgrade discussed, decision next quarter.",
         "Confirmed ownership by DNS record before changing the owner."]


def _day(rng):
    return FIRST_DAY + datetime.timedelta(days=rng.randrange(DAYS))


def _customer(rng, number):
    first, second = FIRST_WORDS[number // 20 % 20], SECOND_WORDS[number % 20]
    site = f"{first}-{second}.example".lower()
    owner = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    return Customer(id=number + 1, name=f"{first} {second}", site=site, owner=owner,
                    email=f"{owner.split()[0].lower()}@{site}", country=rng.choice(COUNTRIES),
                    plan=rng.choice(["free", "free", "standard", "standard", "premium"]), since=_day(rng),
                    suspended=rng.random() < 0.03)


def _contact(rng, audience):
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    email = f"{first}.{last}{rng.randrange(1000)}@mail{rng.randrange(1, 9)}.example".lower()
    return Contact(audience=audience, email=email, first_name=first, last_name=last,
                   subscribed=rng.random() < 0.9, added=_day(rng))


def fill():
    """Make everything; the counts by name."""
    rng = random.Random(SEED)
    customers, audiences, contacts, keys, notes = [], [], [], [], []
    for number in range(CUSTOMERS):
        customer = _customer(rng, number)
        customers.append(customer)
        for name in rng.sample(AUDIENCES, rng.choice([1, 1, 2, 3])):
            audience = Audience(id=len(audiences) + 1, customer=customer, name=name, created=_day(rng))
            audiences.append(audience)
            contacts += [_contact(rng, audience) for _ in range(rng.randrange(4, 20))]
        keys += [ApiKey(customer=customer, label=label, key=f"acme-{rng.getrandbits(128):032x}", created=_day(rng),
                        revoked=rng.random() < 0.1)
                 for label in rng.sample(["shop", "website", "crm", "mobile app"], rng.choice([0, 1, 1, 2]))]
        if rng.random() < 0.4:
            notes.append(StaffNote(customer=customer, author=rng.choice(["alice", "erin", "frank"]), written=_day(rng),
                                   text=rng.choice(NOTES)))
    for model, rows in ((Customer, customers), (Audience, audiences), (Contact, contacts), (ApiKey, keys), (StaffNote, notes)):
        model.objects.bulk_create(rows, batch_size=100)
    return {"customers": len(customers), "audiences": len(audiences), "contacts": len(contacts), "API keys": len(keys),
            "staff notes": len(notes)}
