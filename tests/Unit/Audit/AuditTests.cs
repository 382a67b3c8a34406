using System.Data.Common;
using System.Formats.Cbor;
using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Storage;
using Gongzhi.Tests.Shared;
using Gongzhi.Tests.Unit.Policy;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace Gongzhi.Tests.Unit.Audit;

public sealed class AuditTests : IAsyncLifetime
{
    private readonly PolicyWorld _world = new();

    public async ValueTask InitializeAsync() => await _world.FoundAsync();
    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_change_has_its_entry_and_the_state_agrees()
    {
        await _world.Grants.RevokeAsync(_world.As("steward"), await _world.GrantAsync(), Stop);
        Assert.Empty(Verify());
        Assert.True(Count("audit_change") > 10);
        Assert.Equal(Count("audit_change"), Count("ledger_pending"));
    }

    [Fact]
    public async Task The_pseudonym_key_is_in_no_entry()
    {
        await _world.GrantAsync();
        using var db = _world.Open();
        var key = db.Set<Grant>().Single().PseudonymKey;
        using var connection = _world.Connect();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT content FROM audit_change";
        using var reader = command.ExecuteReader();
        var named = false;
        while (reader.Read())
        {
            var content = (byte[])reader[0];
            var text = Encoding.UTF8.GetString(content);
            Assert.True(content.AsSpan().IndexOf(key) < 0);
            Assert.DoesNotContain(Convert.ToBase64String(key), text, StringComparison.Ordinal);
            named |= text.Contains("\"secrets\":[\"PseudonymKey\"]", StringComparison.Ordinal);
        }
        Assert.True(named);
    }

    [Fact]
    public async Task A_change_without_an_author_or_a_transaction_is_refused_and_nothing_is_kept()
    {
        var before = Count("audit_change");
        await Assert.ThrowsAsync<AuditBypassException>(() => _world.Writer.ChangeAsync((db, _) => db.Add(NewParty("ghost")).Entity, Stop));
        using (var db = _world.Open())
        {
            db.Audit = new AuditContext("somebody", _world.Clock.Now);
            db.Add(NewParty("ghost"));
            Assert.Throws<AuditBypassException>(() => db.SaveChanges());
        }
        Assert.Equal(before, Count("audit_change"));
        Assert.Null(_world.Parties.Party("ghost"));
    }

    [Fact]
    public async Task A_save_that_fails_takes_its_entry_with_it_even_when_the_failure_is_swallowed()
    {
        var (changes, pending) = (Count("audit_change"), Count("ledger_pending"));
        await _world.Writer.ChangeAsync((db, _) =>
        {
            db.Audit = new AuditContext("somebody", _world.Clock.Now);
            db.Add(new RoleHolding { Id = "x", Party = "nobody", Role = Roles.Reader, Unit = "nowhere", Since = _world.Clock.Now });
            Assert.Throws<DbUpdateException>(() => db.SaveChanges());
            db.ChangeTracker.Clear();
            return 0;
        }, Stop);
        Assert.Equal((changes, pending), (Count("audit_change"), Count("ledger_pending")));
        Assert.Empty(Verify());
    }

    [Fact]
    public async Task Bulk_statements_and_raw_sql_on_audited_tables_are_refused()
    {
        await _world.GrantAsync();
        await RefusedAsync<AuditBypassException>(db => db.Set<Grant>().ExecuteDelete());
        await RefusedAsync<AuditBypassException>(db => db.Set<Grant>().ExecuteUpdate(s => s.SetProperty(g => g.RevokedBy, "x")));
        await RefusedAsync<AuditBypassException>(db => db.Database.ExecuteSqlRaw("UPDATE \"access_grant\" SET ValidUntil = 0"));
        await RefusedAsync<DbException>(db => db.Set<Grant>().FromSqlRaw("UPDATE access_grant SET ValidUntil = 0 RETURNING *").AsNoTracking().AsEnumerable().Count());
        await Assert.ThrowsAnyAsync<DbException>(() => _world.Writer.RunAsync(scope =>
        {
            using var command = scope.Command("DELETE FROM access_grant");
            return command.ExecuteNonQuery();
        }, Stop));
        // The sequencer's own statement: two entries with an index, one waiting for its.
        const string Third = "(SELECT id FROM ledger_pending ORDER BY id LIMIT 1 OFFSET 2)";
        using (var shell = _world.Connect())
        {
            foreach (var n in (int[])[0, 1])
                Run(shell, $"UPDATE ledger_pending SET log_index = {n} WHERE id = (SELECT id FROM ledger_pending ORDER BY id LIMIT 1 OFFSET {n}) AND log_index IS NULL");
            foreach (var sql in (string[])
            [
                "UPDATE party SET DisplayName = 'x'",
                "DELETE FROM audit_change",
                "UPDATE audit_change SET salt = salt",
                "INSERT INTO audit_change(id, content, salt) SELECT id, salt, salt FROM audit_change WHERE seq = 3 ON CONFLICT(id) DO UPDATE SET content = excluded.content",
                "DELETE FROM ledger_pending",
                "UPDATE ledger_pending SET entry = id",
                "UPDATE ledger_pending SET log_index = NULL WHERE log_index = 0",
                "UPDATE ledger_pending SET log_index = 7 WHERE log_index = 0",
                $"UPDATE ledger_pending SET log_index = 0 WHERE id = {Third}",
                $"INSERT INTO ledger_pending(id, entry, created) SELECT id, id, created FROM ledger_pending WHERE id = {Third} ON CONFLICT(id) DO UPDATE SET entry = excluded.entry",
                .. TestStore.IsPostgres ? OfPostgres : OfSqlite,
            ])
            {
                Assert.ThrowsAny<DbException>(() => Run(shell, sql));
            }
        }
        Assert.Empty(Verify());
    }

    private static readonly string[] OfSqlite =
    [
        "UPDATE OR REPLACE audit_change SET seq = 1 WHERE seq = 2",
        "INSERT OR REPLACE INTO audit_change(id, content, salt) SELECT id, x'7B7D', salt FROM audit_change WHERE seq = 3",
        "INSERT OR REPLACE INTO audit_change(seq, id, content, salt) VALUES (3, randomblob(16), x'7B7D', zeroblob(16))",
        "REPLACE INTO audit_change SELECT * FROM audit_change WHERE seq = 3",
        "UPDATE OR REPLACE ledger_pending SET log_index = 0 WHERE rowid = 3",
        "INSERT OR REPLACE INTO ledger_pending(id, entry, created) SELECT id, x'00', created FROM ledger_pending WHERE rowid = 3",
        "INSERT OR REPLACE INTO ledger_pending(rowid, id, entry, created) VALUES (3, randomblob(16), x'00', 0)",
        "INSERT OR REPLACE INTO ledger_pending(id, entry, created, log_index) VALUES (randomblob(16), x'00', 0, 1)",
    ];

    private static readonly string[] OfPostgres =
    [
        "TRUNCATE audit_change",
        "TRUNCATE ledger_pending",
        "TRUNCATE party CASCADE",
        "INSERT INTO ledger_pending(id, entry, created, log_index) SELECT decode(md5('x'), 'hex'), id, 0, 9 FROM ledger_pending LIMIT 1",
        "COPY party FROM PROGRAM 'echo'",
    ];

    [Fact]
    public void Every_entity_is_audited_or_said_not_to_be()
    {
        using var db = _world.Open();
        Assert.Empty(AuditModel.Undecided(db.Model));
    }

    [Fact]
    public void A_cascade_onto_audited_state_is_refused_when_the_model_is_built()
    {
        var options = new DbContextOptionsBuilder<NodeDb>();
        NodeDatabase.Configure(options, _world.World);
        using var db = new NodeDb(options.Options, [new CascadingModel()]);
        Assert.Throws<AuditBypassException>(() => AuditSchema.For(db.Model, SqlStore.Of(_world.World)));
    }

    private sealed class CascadingModel : IModelPart
    {
        public void Build(ModelBuilder model)
        {
            model.Entity<Party>().HasKey(p => p.Id);
            model.Entity<RoleHolding>(e =>
            {
                e.IsAudited().HasKey(r => r.Id);
                e.HasOne<Party>().WithMany().HasForeignKey(r => r.Party).OnDelete(DeleteBehavior.Cascade);
            });
        }
    }

    [Theory]
    [InlineData("DROP TRIGGER audited_access_grant_UPDATE; UPDATE access_grant SET CreatedBy = 'stewarD'", "state-differs")]
    [InlineData("DROP TRIGGER audited_access_grant_DELETE; DELETE FROM access_grant", "state-gone")]
    [InlineData("DROP TRIGGER audited_party_INSERT; INSERT INTO party(Id, Kind, DisplayName, Bootstrap, Disabled, Suspended, Renewals) VALUES ('evil', 6, 'evil', 1 = 1, 1 = 0, 1 = 0, 0)", "state-unexplained")]
    [InlineData("DROP TRIGGER audit_change_fixed; UPDATE audit_change SET content = CAST(replace(CAST(content AS TEXT), 'setup', 'setuP') AS BLOB) WHERE seq = 7", "entry-differs")]
    [InlineData("DROP TRIGGER audit_change_kept; DELETE FROM audit_change WHERE seq = 5", "content-missing")]
    [InlineData("DROP TRIGGER ledger_pending_kept; DELETE FROM ledger_pending WHERE id = (SELECT id FROM audit_change WHERE seq = 5)", "entry-missing")]
    [InlineData("DROP TRIGGER audited_party_DELETE", "guard-missing")]
    [InlineData("DROP TRIGGER audit_change_fixed", "guard-missing")]
    [InlineData("DROP TRIGGER ledger_pending_once", "guard-missing")]
    [InlineData("DROP TRIGGER ledger_pending_kept", "guard-missing")]
    public async Task One_changed_byte_is_found_and_named(string tampering, string code)
    {
        await _world.GrantAsync();
        TestStore.Tamper(_world.World, tampering);
        var finding = Verify().First(f => f.Code == code);
        Assert.True(finding.Change is not null || finding.Key is not null);
    }

    [Fact]
    public void Entries_are_the_contracts_bytes()
    {
        var (id, batch) = (Guid.CreateVersion7(_world.Clock.Now), Guid.CreateVersion7(_world.Clock.Now));
        var root = SHA256.HashData("root"u8);
        foreach (var rows in (long[])[0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296])
        {
            var writer = new CborWriter(CborConformanceMode.Canonical);
            writer.WriteStartArray(9);
            writer.WriteTextString("gongzhi/entry");
            writer.WriteInt32(1);
            writer.WriteTextString("batch");
            writer.WriteByteString(id.ToByteArray(bigEndian: true));
            writer.WriteTextString("cards");
            writer.WriteInt32(300);
            writer.WriteByteString(batch.ToByteArray(bigEndian: true));
            writer.WriteInt64(rows);
            writer.WriteByteString(root);
            writer.WriteEndArray();
            Assert.Equal(writer.Encode(), EntryBytes.Batch(id, "cards", 300, batch, rows, root));
        }
        var state = new CborReader(EntryBytes.Commitment(id, "state", root), CborConformanceMode.Canonical);
        Assert.Equal(5, state.ReadStartArray());
        Assert.Equal("gongzhi/entry", state.ReadTextString());
        Assert.Equal(1, state.ReadInt32());
        Assert.Equal("state", state.ReadTextString());
        Assert.Equal(id.ToByteArray(bigEndian: true), state.ReadByteString());
        Assert.Equal(root, state.ReadByteString());
        Assert.Throws<ArgumentException>(() => EntryBytes.Commitment(id, "batch", root));
    }

    private static void Run(DbConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private async Task RefusedAsync<T>(Func<NodeDb, int> change) where T : Exception =>
        await Assert.ThrowsAnyAsync<T>(() => _world.Writer.ChangeAsync((db, _) =>
        {
            db.Audit = new AuditContext("somebody", _world.Clock.Now);
            return change(db);
        }, Stop));

    private static Party NewParty(string id) => new() { Id = id, Kind = PartyKind.Person, DisplayName = id };

    private IReadOnlyList<AuditFinding> Verify()
    {
        using var db = _world.Open();
        using var connection = _world.Connect();
        return AuditVerifier.Verify(connection, db.Model, Stop);
    }

    private long Count(string table)
    {
        using var connection = _world.Connect();
        using var command = connection.CreateCommand();
        command.CommandText = $"SELECT COUNT(*) FROM {table}";
        return (long)command.ExecuteScalar()!;
    }
}
