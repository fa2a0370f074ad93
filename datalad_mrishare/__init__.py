"""Share MRI data exactly as far as its participants consented.

This file is loaded by every ``datalad`` call once the extension is installed:
it names the commands and imports nothing.
"""

__version__ = "0.1.0"

#: what datalad's command line and ``datalad.api`` read (entry point ``datalad.extensions``)
command_suite = (
    "Share MRI data as far as its participants consented",
    [
        (
            "datalad_mrishare.commands.register",
            "Register",
            "mrishare-register",
            "mrishare_register",
        ),
        (
            "datalad_mrishare.commands.consent",
            "Consent",
            "mrishare-consent",
            "mrishare_consent",
        ),
        (
            "datalad_mrishare.commands.explain",
            "Explain",
            "mrishare-explain",
            "mrishare_explain",
        ),
        (
            "datalad_mrishare.commands.sibling",
            "Sibling",
            "mrishare-sibling",
            "mrishare_sibling",
        ),
        (
            "datalad_mrishare.commands.publish",
            "Publish",
            "mrishare-publish",
            "mrishare_publish",
        ),
        (
            "datalad_mrishare.commands.verify",
            "Verify",
            "mrishare-verify",
            "mrishare_verify",
        ),
        (
            "datalad_mrishare.commands.attest",
            "Attest",
            "mrishare-attest",
            "mrishare_attest",
        ),
        (
            "datalad_mrishare.commands.provenance",
            "Provenance",
            "mrishare-provenance",
            "mrishare_provenance",
        ),
    ],
)
