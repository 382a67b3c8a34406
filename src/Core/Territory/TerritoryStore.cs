using System.Text.Json;
using System.Text.Json.Serialization;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Territory;

/// <summary>The places in SQL, one row each as JSON: they are read whole at the start and live in memory.</summary>
public sealed class PlaceSchema : IHotSchema
{
    public string Sql => """
        CREATE TABLE IF NOT EXISTS place (
            code TEXT PRIMARY KEY,            -- stripped
            definition TEXT NOT NULL
        ) WITHOUT ROWID;
        """;
}

/// <summary>The territory of the node: an immutable index in memory, replaced whole when places are imported.</summary>
public sealed class TerritoryStore(World world, NodeWriter writer, TimeProvider clock)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault };
    private volatile TerritoryIndex _index = TerritoryIndex.Empty;

    public TerritoryIndex Index => _index;

    public void Open()
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT definition FROM place";
        using var reader = command.ExecuteReader();
        var places = new List<Place>();
        while (reader.Read())
            places.Add(JsonSerializer.Deserialize<StoredPlace>(reader.GetString(0), Json)!.ToPlace());
        _index = TerritoryIndex.Build(places, Today());
    }

    /// <summary>Adds or replaces places, all or none; answers how many the territory now has.</summary>
    /// <param name="author">The party that imports, for the audit entry.</param>
    public async Task<int> ImportAsync(IReadOnlyList<Place> places, string author, CancellationToken cancel)
    {
        var merged = _index.Places.ToDictionary(p => p.Code);
        foreach (var place in places)
            merged[place.Code] = place;
        var index = TerritoryIndex.Build(merged.Values, Today());
        await writer.RunAsync(scope =>
        {
            using var command = scope.Command("INSERT INTO place(code, definition) VALUES ($code, $definition) ON CONFLICT(code) DO UPDATE SET definition = excluded.definition");
            var code = command.Parameters.Add("$code", Microsoft.Data.Sqlite.SqliteType.Text);
            var definition = command.Parameters.Add("$definition", Microsoft.Data.Sqlite.SqliteType.Text);
            using var digest = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
            foreach (var place in places)
            {
                code.Value = place.Code.ToString();
                var text = JsonSerializer.Serialize(StoredPlace.From(place), Json);
                definition.Value = text;
                digest.AppendData(System.Text.Encoding.UTF8.GetBytes(text + "\n"));
                command.ExecuteNonQuery();
            }
            AuditNote.Add(scope, new AuditContext(author, clock.GetUtcNow(), "import places"), "Place", places.Count, digest.GetHashAndReset(), Digest(scope.Command(AllInOrder), out _));
            scope.AfterCommit(() => _index = index);
        }, cancel).ConfigureAwait(false);
        return index.Places.Count;
    }

    /// <summary>All that is kept of places, in the order of their digest.</summary>
    internal const string AllInOrder = "SELECT code, definition FROM place ORDER BY code";

    /// <summary>SHA-256 over all places, each a line of its code and one of its definition; for <see cref="AllInOrder"/>. Disposes the command.</summary>
    internal static byte[] Digest(Microsoft.Data.Sqlite.SqliteCommand all, out long count)
    {
        using var command = all;
        using var digest = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        using var reader = command.ExecuteReader();
        for (count = 0; reader.Read(); count++)
            digest.AppendData(System.Text.Encoding.UTF8.GetBytes($"{reader.GetString(0)}\n{reader.GetString(1)}\n"));
        return digest.GetHashAndReset();
    }

    /// <summary>Whether a text is the code of a known place.</summary>
    public bool Knows(string code) => _index.IsKnown(code.AsSpan());

    /// <summary>For the intake: strips a code and answers whether it is known.</summary>
    public bool TryRead(ReadOnlySpan<byte> text, Span<byte> stripped, out int length)
    {
        length = 0;
        return PlaceCode.TryParse(text, out var code) && _index.IsKnown(code) && code.TryFormat(stripped, out length);
    }

    private DateOnly Today() => DateOnly.FromDateTime(clock.GetUtcNow().UtcDateTime);

    private sealed record StoredPlace(string Code, string Name, string? NameEn, DateOnly? ValidFrom, DateOnly? ValidTo, string[]? Successors, string? AdministeredBy, bool IsPseudo, string? Shape, GeoPoint? Centre)
    {
        public static StoredPlace From(Place p) => new(
            p.Code.ToString(), p.Name, p.NameEn, p.ValidFrom, p.ValidTo, p.Successors.Count == 0 ? null : [.. p.Successors.Select(s => s.ToString())],
            p.AdministeredBy.IsNone ? null : p.AdministeredBy.ToString(), p.IsPseudo, p.Shape?.AsText(), p.Centre);

        public Place ToPlace() => new()
        {
            Code = PlaceCode.Parse(Code),
            Name = Name,
            NameEn = NameEn,
            ValidFrom = ValidFrom,
            ValidTo = ValidTo,
            Successors = Successors is null ? [] : [.. Successors.Select(PlaceCode.Parse)],
            AdministeredBy = AdministeredBy is null ? default : PlaceCode.Parse(AdministeredBy),
            IsPseudo = IsPseudo,
            Shape = Shape is null ? null : new NetTopologySuite.IO.WKTReader().Read(Shape),
            Centre = Centre,
        };
    }
}
