//! Every vendor's account at its stand-in, and what is sent to it.

use backhaul_kit::Operation;

/// A vendor, and a sync to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vendor {
    /// The destination's `type`.
    pub(super) kind: &'static str,
    /// The stand-in.
    pub(super) stand_in: &'static str,
    /// What it is told.
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// `[destinations.X]` without type and URL; the credential is in the file `secret`.
    pub(super) account: &'static str,
    /// `[into]`, `[fields]`, and what is behind. Columns: code, email, plan, yes.
    pub(super) sync: &'static str,
    /// What is done with a new row.
    pub(super) operation: Operation,
}

impl Vendor {
    const fn new(kind: &'static str, account: &'static str, sync: &'static str) -> Self {
        Self { kind, stand_in: kind, settings: &[], account, sync, operation: Operation::Upsert }
    }
}

pub(super) const HUBSPOT: Vendor = Vendor {
    settings: &[("properties", "contacts.customer_id:string:unique,contacts.plan:string")],
    ..Vendor::new(
        "hubspot",
        "token = { file = \"secret\" }",
        "[into]\nobject = \"contacts\"\nmode = \"upsert\"\nmatch = \"customer_id\"\nremoved = \"archive\"\n\
         [fields]\ncustomer_id = \"code\"\nplan = \"plan\"\n",
    )
};

/// Some API that says nothing of its limit in a way that the destination knows.
pub(super) const HTTP: Vendor = Vendor {
    stand_in: "hubspot",
    settings: HUBSPOT.settings,
    ..Vendor::new(
        "http",
        "token = { file = \"secret\" }\nlimits = [{ cap = 100, per = \"10s\" }]",
        "[into]\nmode = \"upsert\"\n[into.request]\nurl = \"/crm/v3/objects/contacts/batch/upsert\"\n\
         batch_size = 100\nsuccess = { evidence = \"call\", statuses = [200] }\nresend_safe = true\nbody = '''\n\
         {\"inputs\": [{% for row in rows %}{\"idProperty\": \"customer_id\", \"id\": {{ row.fields.customer_id }},\n\
         \"properties\": {\"customer_id\": {{ row.fields.customer_id }}, \"plan\": {{ row.fields.plan }}}}\n\
         {% if not loop.last %},{% endif %}{% endfor %}]}'''\n\
         [fields]\ncustomer_id = \"code\"\nplan = \"plan\"\n",
    )
};

pub(super) const SALESFORCE: Vendor = Vendor {
    settings: &[("rights", "create,edit,delete")],
    ..Vendor::new(
        "salesforce",
        "domain = \"acme.my.salesforce.com\"\nclient_id = \"sandbox-app\"\nclient_secret = { file = \"secret\" }",
        "[into]\nobject = \"Account\"\nmode = \"upsert\"\nremoved = \"delete\"\n\
         [fields]\nExt_Id__c = \"code\"\nName = \"email\"\nPlan__c = \"plan\"\n",
    )
};

pub(super) const ZENDESK: Vendor = Vendor::new(
    "zendesk",
    "subdomain = \"acme\"\ntoken = { file = \"secret\" }",
    "[into]\nobject = \"users\"\nmode = \"upsert\"\nmatch = \"external_id\"\nremoved = \"delete\"\n\
     [fields]\nexternal_id = \"code\"\nname = \"email\"\n\"user_fields.plan\" = \"plan\"\n",
);

/// What goes one row a call.
pub(super) const ZENDESK_ORGANIZATIONS: Vendor = Vendor {
    sync: "[into]\nobject = \"organizations\"\nmode = \"upsert\"\nmatch = \"external_id\"\n\
           [fields]\nexternal_id = \"code\"\nname = \"email\"\n",
    ..ZENDESK
};

pub(super) const MAILCHIMP: Vendor = Vendor::new(
    "mailchimp",
    "key = { file = \"secret\" }",
    "[into]\nobject = \"members\"\nlist = \"abc123\"\nmode = \"upsert\"\nmatch = \"email_address\"\n\
     status_if_new = \"subscribed\"\nremoved = \"archive\"\n\
     [fields]\nemail_address = \"email\"\n\"merge_fields.PLAN\" = \"plan\"\n",
);

pub(super) const DATA_MANAGER: Vendor = Vendor {
    operation: Operation::AudienceAdd,
    ..Vendor::new(
        "google-data-manager",
        "service_account = { file = \"secret\" }\naccount = \"111-222-3333\"\ncustomer_match_terms = \"accepted\"",
        "[into]\naudience = \"987\"\nmode = \"audience\"\n[fields]\nemail = \"email\"\n\
         [consent]\nad_user_data = { column = \"yes\", granted = [\"yes\"] }\n\
         ad_personalization = { column = \"yes\", granted = [\"yes\"] }\n",
    )
};

pub(super) const META: Vendor = Vendor {
    operation: Operation::AudienceAdd,
    ..Vendor::new(
        "meta",
        "ad_account = \"act_1234567890\"\ntoken = { file = \"secret\" }\nrows_per_call = 500",
        "[into]\naudience = \"23851234567890\"\nmode = \"audience\"\n\
         [fields]\nEXTERN_ID = \"code\"\nEMAIL = \"email\"\n",
    )
};

pub(super) const STRIPE: Vendor = Vendor::new(
    "stripe",
    "key = { file = \"secret\" }",
    "[into]\nobject = \"customers\"\nmode = \"upsert\"\nremoved = \"clear\"\n\
     [fields]\n\"metadata.code\" = \"code\"\n\"metadata.plan\" = \"plan\"\n",
);

pub(super) const MIXPANEL: Vendor = Vendor::new(
    "mixpanel",
    "region = \"eu\"\ntoken = { file = \"secret\" }",
    "[into]\nobject = \"profiles\"\nmode = \"upsert\"\nmatch = \"$distinct_id\"\nremoved = \"delete\"\n\
     [fields]\n\"$distinct_id\" = \"code\"\n\"$email\" = \"email\"\nplan = \"plan\"\n",
);
