-- The schema of a node's database as the program of 2026-11-23 made it (user_version 1). Data directories like it exist; it is never edited.
CREATE TABLE "OpenIddictApplications" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_OpenIddictApplications" PRIMARY KEY,
    "ApplicationType" TEXT NULL,
    "ClientId" TEXT NULL,
    "ClientSecret" TEXT NULL,
    "ClientType" TEXT NULL,
    "ConcurrencyToken" TEXT NULL,
    "ConsentType" TEXT NULL,
    "DisplayName" TEXT NULL,
    "DisplayNames" TEXT NULL,
    "JsonWebKeySet" TEXT NULL,
    "Permissions" TEXT NULL,
    "PostLogoutRedirectUris" TEXT NULL,
    "Properties" TEXT NULL,
    "RedirectUris" TEXT NULL,
    "Requirements" TEXT NULL,
    "Settings" TEXT NULL
);
CREATE TABLE "OpenIddictAuthorizations" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_OpenIddictAuthorizations" PRIMARY KEY,
    "ApplicationId" TEXT NULL,
    "ConcurrencyToken" TEXT NULL,
    "CreationDate" TEXT NULL,
    "Properties" TEXT NULL,
    "Scopes" TEXT NULL,
    "Status" TEXT NULL,
    "Subject" TEXT NULL,
    "Type" TEXT NULL,
    CONSTRAINT "FK_OpenIddictAuthorizations_OpenIddictApplications_ApplicationId" FOREIGN KEY ("ApplicationId") REFERENCES "OpenIddictApplications" ("Id")
);
CREATE TABLE "OpenIddictScopes" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_OpenIddictScopes" PRIMARY KEY,
    "ConcurrencyToken" TEXT NULL,
    "Description" TEXT NULL,
    "Descriptions" TEXT NULL,
    "DisplayName" TEXT NULL,
    "DisplayNames" TEXT NULL,
    "Name" TEXT NULL,
    "Properties" TEXT NULL,
    "Resources" TEXT NULL
);
CREATE TABLE "OpenIddictTokens" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_OpenIddictTokens" PRIMARY KEY,
    "ApplicationId" TEXT NULL,
    "AuthorizationId" TEXT NULL,
    "ConcurrencyToken" TEXT NULL,
    "CreationDate" TEXT NULL,
    "ExpirationDate" TEXT NULL,
    "Payload" TEXT NULL,
    "Properties" TEXT NULL,
    "RedemptionDate" TEXT NULL,
    "ReferenceId" TEXT NULL,
    "Status" TEXT NULL,
    "Subject" TEXT NULL,
    "Type" TEXT NULL,
    CONSTRAINT "FK_OpenIddictTokens_OpenIddictApplications_ApplicationId" FOREIGN KEY ("ApplicationId") REFERENCES "OpenIddictApplications" ("Id"),
    CONSTRAINT "FK_OpenIddictTokens_OpenIddictAuthorizations_AuthorizationId" FOREIGN KEY ("AuthorizationId") REFERENCES "OpenIddictAuthorizations" ("Id")
);
CREATE TABLE access (
    id BLOB PRIMARY KEY,
    dataset TEXT NOT NULL,
    reader TEXT NOT NULL,             -- party id
    time INTEGER NOT NULL,
    content TEXT NOT NULL,            -- canonical JSON of the access
    salt BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE "account" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_account" PRIMARY KEY,
    "PartyId" TEXT NOT NULL,
    "UserName" TEXT NULL,
    "NormalizedUserName" TEXT NULL,
    "Email" TEXT NULL,
    "NormalizedEmail" TEXT NULL,
    "EmailConfirmed" INTEGER NOT NULL,
    "PasswordHash" TEXT NULL,
    "SecurityStamp" TEXT NULL,
    "ConcurrencyStamp" TEXT NULL,
    "PhoneNumber" TEXT NULL,
    "PhoneNumberConfirmed" INTEGER NOT NULL,
    "TwoFactorEnabled" INTEGER NOT NULL,
    "LockoutEnd" INTEGER NULL,
    "LockoutEnabled" INTEGER NOT NULL,
    "AccessFailedCount" INTEGER NOT NULL
);
CREATE TABLE "account_claim" (
    "Id" INTEGER NOT NULL CONSTRAINT "PK_account_claim" PRIMARY KEY AUTOINCREMENT,
    "UserId" TEXT NOT NULL,
    "ClaimType" TEXT NULL,
    "ClaimValue" TEXT NULL,
    CONSTRAINT "FK_account_claim_account_UserId" FOREIGN KEY ("UserId") REFERENCES "account" ("Id") ON DELETE CASCADE
);
CREATE TABLE "account_login" (
    "LoginProvider" TEXT NOT NULL,
    "ProviderKey" TEXT NOT NULL,
    "ProviderDisplayName" TEXT NULL,
    "UserId" TEXT NOT NULL,
    CONSTRAINT "PK_account_login" PRIMARY KEY ("LoginProvider", "ProviderKey"),
    CONSTRAINT "FK_account_login_account_UserId" FOREIGN KEY ("UserId") REFERENCES "account" ("Id") ON DELETE CASCADE
);
CREATE TABLE "account_passkey" (
    "CredentialId" BLOB NOT NULL CONSTRAINT "PK_account_passkey" PRIMARY KEY,
    "UserId" TEXT NOT NULL,
    "Data" TEXT NOT NULL,
    CONSTRAINT "FK_account_passkey_account_UserId" FOREIGN KEY ("UserId") REFERENCES "account" ("Id") ON DELETE CASCADE
);
CREATE TABLE "account_token" (
    "UserId" TEXT NOT NULL,
    "LoginProvider" TEXT NOT NULL,
    "Name" TEXT NOT NULL,
    "Value" TEXT NULL,
    CONSTRAINT "PK_account_token" PRIMARY KEY ("UserId", "LoginProvider", "Name"),
    CONSTRAINT "FK_account_token_account_UserId" FOREIGN KEY ("UserId") REFERENCES "account" ("Id") ON DELETE CASCADE
);
CREATE TABLE audit_change(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK(length(id) = 16),
    content BLOB NOT NULL,
    salt BLOB NOT NULL CHECK(length(salt) = 16));
CREATE TABLE batch (
    id BLOB PRIMARY KEY,              -- batch id, low 32 bits zero
    dataset INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    contributor TEXT NOT NULL,        -- party id
    received INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    root BLOB NOT NULL,               -- RFC 6962 root of the rows' leaves
    subject_salt BLOB NOT NULL,
    tree BLOB NOT NULL,               -- hashes of the batch tree at level 8, for proofs without reading the batch
    entry BLOB NOT NULL,              -- id of the ledger entry
    request TEXT UNIQUE,              -- contributor and idempotency key, or null
    request_digest BLOB,              -- SHA-256 of what was asked, to tell a repeat from a clash
    source TEXT NOT NULL              -- how it came: format and door
) WITHOUT ROWID;
CREATE TABLE "dataset" (
    "number" INTEGER NOT NULL CONSTRAINT "PK_dataset" PRIMARY KEY,
    "id" TEXT NULL,
    "owner" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "created" INTEGER NOT NULL,
    "changed" INTEGER NOT NULL
);
CREATE TABLE "dataset_version" (
    "dataset" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "definition" TEXT NOT NULL,
    "created" INTEGER NOT NULL,
    CONSTRAINT "PK_dataset_version" PRIMARY KEY ("dataset", "version")
);
CREATE TABLE "element" (
    "id" TEXT NOT NULL CONSTRAINT "PK_element" PRIMARY KEY,
    "name_zh" TEXT NOT NULL,
    "name_en" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "measure" TEXT NULL,
    "code_list" TEXT NULL,
    "sensitivity" TEXT NOT NULL
);
CREATE TABLE ledger_pending(
    id BLOB PRIMARY KEY NOT NULL CHECK(length(id) = 16),
    entry BLOB NOT NULL,
    created INTEGER NOT NULL,
    log_index INTEGER NULL);
CREATE TABLE log_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    before_size INTEGER NOT NULL,
    before_root BLOB NOT NULL
);
CREATE TABLE "party" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_party" PRIMARY KEY,
    "Kind" INTEGER NOT NULL,
    "DisplayName" TEXT NOT NULL,
    "Bootstrap" INTEGER NOT NULL
);
CREATE TABLE place (
    code TEXT PRIMARY KEY,            -- stripped
    definition TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE policy_epoch(id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER NOT NULL);
CREATE TABLE "posture_state" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_posture_state" PRIMARY KEY,
    "Area" TEXT NOT NULL,
    "Level" INTEGER NOT NULL,
    "Reason" TEXT NOT NULL,
    "Author" TEXT NOT NULL,
    "Since" INTEGER NOT NULL,
    "Expires" INTEGER NULL
);
CREATE TABLE "read_grant" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_read_grant" PRIMARY KEY,
    "Dataset" TEXT NOT NULL,
    "GranteeUnit" TEXT NULL,
    "GranteeRole" TEXT NULL,
    "GranteeParty" TEXT NULL,
    "Purposes" TEXT NOT NULL,
    "Fields" TEXT NOT NULL,
    "Rows" TEXT NOT NULL,
    "Posture" INTEGER NULL,
    "ValidFrom" INTEGER NOT NULL,
    "ValidUntil" INTEGER NOT NULL,
    "MinimumGroup" INTEGER NOT NULL,
    "PseudonymKey" BLOB NOT NULL,
    "CreatedBy" TEXT NOT NULL,
    "CreatedAt" INTEGER NOT NULL,
    "RevokedBy" TEXT NULL,
    "RevokedAt" INTEGER NULL
);
CREATE TABLE replaced (
    dataset INTEGER NOT NULL,
    batch BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    by_record BLOB,                   -- the superseding record; null when erased
    leaf BLOB,                        -- kept when the content is erased
    PRIMARY KEY (dataset, batch, ordinal)
) WITHOUT ROWID;
CREATE TABLE "role_holding" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_role_holding" PRIMARY KEY,
    "Party" TEXT NOT NULL,
    "Role" TEXT NOT NULL,
    "Unit" TEXT NOT NULL,
    "Since" INTEGER NOT NULL,
    "Until" INTEGER NULL,
    CONSTRAINT "FK_role_holding_party_Party" FOREIGN KEY ("Party") REFERENCES "party" ("Id") ON DELETE RESTRICT,
    CONSTRAINT "FK_role_holding_unit_Unit" FOREIGN KEY ("Unit") REFERENCES "unit" ("Id") ON DELETE RESTRICT
);
CREATE TABLE segment (
    number INTEGER PRIMARY KEY,
    dataset INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,        -- SHA-256 of the file, lower-case hex
    schema_version INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    place_min TEXT,
    place_max TEXT,
    has_replaced INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE segment_batch (
    batch BLOB NOT NULL,
    first_ordinal INTEGER NOT NULL,
    segment INTEGER NOT NULL REFERENCES segment(number),
    rows INTEGER NOT NULL,
    PRIMARY KEY (batch, first_ordinal)
) WITHOUT ROWID;
CREATE TABLE tail (
    dataset INTEGER NOT NULL,
    batch BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    row BLOB NOT NULL,                -- canonical bytes
    salt BLOB,
    PRIMARY KEY (dataset, batch, ordinal)
) WITHOUT ROWID;
CREATE TABLE "unit" (
    "Id" TEXT NOT NULL CONSTRAINT "PK_unit" PRIMARY KEY,
    "NameZh" TEXT NOT NULL,
    "NameEn" TEXT NOT NULL,
    "Place" TEXT NOT NULL,
    "Level" INTEGER NOT NULL,
    "Parent" TEXT NULL,
    "Kind" TEXT NOT NULL,
    CONSTRAINT "FK_unit_unit_Parent" FOREIGN KEY ("Parent") REFERENCES "unit" ("Id") ON DELETE RESTRICT
);
CREATE UNIQUE INDEX "IX_OpenIddictApplications_ClientId" ON "OpenIddictApplications" ("ClientId");
CREATE INDEX "IX_OpenIddictAuthorizations_ApplicationId_Status_Subject_Type" ON "OpenIddictAuthorizations" ("ApplicationId", "Status", "Subject", "Type");
CREATE UNIQUE INDEX "IX_OpenIddictScopes_Name" ON "OpenIddictScopes" ("Name");
CREATE INDEX "IX_OpenIddictTokens_ApplicationId_Status_Subject_Type" ON "OpenIddictTokens" ("ApplicationId", "Status", "Subject", "Type");
CREATE INDEX "IX_OpenIddictTokens_AuthorizationId" ON "OpenIddictTokens" ("AuthorizationId");
CREATE UNIQUE INDEX "IX_OpenIddictTokens_ReferenceId" ON "OpenIddictTokens" ("ReferenceId");
CREATE UNIQUE INDEX "IX_account_NormalizedUserName" ON "account" ("NormalizedUserName");
CREATE INDEX "IX_account_PartyId" ON "account" ("PartyId");
CREATE INDEX "IX_account_claim_UserId" ON "account_claim" ("UserId");
CREATE INDEX "IX_account_login_UserId" ON "account_login" ("UserId");
CREATE INDEX "IX_account_passkey_UserId" ON "account_passkey" ("UserId");
CREATE UNIQUE INDEX "IX_dataset_id" ON "dataset" ("id");
CREATE INDEX "IX_posture_state_Area" ON "posture_state" ("Area");
CREATE INDEX "IX_read_grant_Dataset" ON "read_grant" ("Dataset");
CREATE INDEX "IX_role_holding_Party" ON "role_holding" ("Party");
CREATE INDEX "IX_role_holding_Unit" ON "role_holding" ("Unit");
CREATE INDEX "IX_unit_Parent" ON "unit" ("Parent");
CREATE INDEX access_dataset ON access(dataset, time);
CREATE INDEX access_reader ON access(reader, time);
CREATE INDEX batch_dataset ON batch(dataset, received);
CREATE UNIQUE INDEX batch_entry ON batch(entry);
CREATE UNIQUE INDEX ledger_pending_index ON ledger_pending(log_index) WHERE log_index IS NOT NULL;
CREATE INDEX ledger_pending_waiting ON ledger_pending(created) WHERE log_index IS NULL;
CREATE INDEX segment_batch_segment ON segment_batch(segment);
CREATE INDEX segment_dataset ON segment(dataset);
CREATE TRIGGER audit_change_fixed BEFORE UPDATE ON audit_change
BEGIN SELECT RAISE(ABORT, 'an audit entry never changes'); END;
CREATE TRIGGER audit_change_kept BEFORE DELETE ON audit_change
BEGIN SELECT RAISE(ABORT, 'an audit entry is never removed'); END;
CREATE TRIGGER "audited_dataset_DELETE" BEFORE DELETE ON "dataset" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_dataset_INSERT" BEFORE INSERT ON "dataset" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_dataset_UPDATE" BEFORE UPDATE ON "dataset" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_dataset_version_DELETE" BEFORE DELETE ON "dataset_version" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_dataset_version_INSERT" BEFORE INSERT ON "dataset_version" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_dataset_version_UPDATE" BEFORE UPDATE ON "dataset_version" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_element_DELETE" BEFORE DELETE ON "element" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_element_INSERT" BEFORE INSERT ON "element" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_element_UPDATE" BEFORE UPDATE ON "element" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_party_DELETE" BEFORE DELETE ON "party" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_party_INSERT" BEFORE INSERT ON "party" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_party_UPDATE" BEFORE UPDATE ON "party" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_posture_state_DELETE" BEFORE DELETE ON "posture_state" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_posture_state_INSERT" BEFORE INSERT ON "posture_state" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_posture_state_UPDATE" BEFORE UPDATE ON "posture_state" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_read_grant_DELETE" BEFORE DELETE ON "read_grant" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_read_grant_INSERT" BEFORE INSERT ON "read_grant" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_read_grant_UPDATE" BEFORE UPDATE ON "read_grant" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_role_holding_DELETE" BEFORE DELETE ON "role_holding" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_role_holding_INSERT" BEFORE INSERT ON "role_holding" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_role_holding_UPDATE" BEFORE UPDATE ON "role_holding" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_unit_DELETE" BEFORE DELETE ON "unit" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_unit_INSERT" BEFORE INSERT ON "unit" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER "audited_unit_UPDATE" BEFORE UPDATE ON "unit" WHEN gz_audit_open() = 0
BEGIN SELECT RAISE(ABORT, 'audited state changes only through tracked entities'); END;
CREATE TRIGGER ledger_pending_fixed BEFORE UPDATE OF id, entry, created ON ledger_pending
BEGIN SELECT RAISE(ABORT, 'a ledger entry never changes'); END;
PRAGMA user_version=1;
