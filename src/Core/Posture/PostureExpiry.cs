using System.Data.Common;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Due;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Posture;

/// <summary>
/// Notes in the audit that an area's posture came to its end by itself. It ended whether or not anything runs: that is judged when it is read. The note makes it a fact that others can point to.
/// A posture that was replaced before its end did not expire.
/// </summary>
public sealed class PostureExpiry : IDueWork
{
    /// <summary>What the audit entry says it is about.</summary>
    public const string What = "PostureExpired";

    public string Name => "posture-expiry";

    public IReadOnlyList<DueItem> Find(DbConnection connection, DateTimeOffset now, int most)
    {
        using var command = connection.Command("""
            SELECT p.id, p.expires FROM posture_state p
            WHERE p.expires <= @now AND NOT EXISTS (SELECT 1 FROM due_done d WHERE d.work = @work AND d.item = p.id)
              AND NOT EXISTS (SELECT 1 FROM posture_state later WHERE later.area = p.area AND later.number > p.number AND later.since < p.expires)
            ORDER BY p.expires LIMIT @most
            """);
        command.Set("@now", Microseconds.From(now)).Set("@work", Name).Set("@most", most);
        var found = new List<DueItem>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            found.Add(new(reader.GetString(0), Microseconds.ToTime(reader.GetInt64(1))));
        return found;
    }

    public void Act(WriteScope scope, DueItem item, DateTimeOffset now) =>
        AuditNote.Add(scope, new AuditContext("node", now, $"The posture {item.Item} expired at {item.At.ToString("O", CultureInfo.InvariantCulture)}."), What, 1,
            SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{item.Item} {Microseconds.From(item.At)}"))));
}
