using System.Data.Common;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using NetTopologySuite.Geometries;

namespace Gongzhi.Core.Territory;

/// <summary>The places in SQL, one row each as JSON: they are read whole at the start and live in memory.</summary>
public sealed class PlaceSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS place (
            code {store.Text} PRIMARY KEY,            -- stripped
            definition {store.Text} NOT NULL
        ){store.Clustered};
        CREATE TABLE IF NOT EXISTS place_shape (
            code {store.Text} PRIMARY KEY,            -- stripped
            outline {store.Text} NOT NULL             -- WKT, longitude and latitude in WGS-84
        ){store.Clustered};
        """;
}

/// <summary>
/// The territory of the node: an immutable index in memory, replaced when places are imported and on the day on which a reform takes effect.
/// Nothing needs to run for that day to come: it is looked for when the index is asked for.
/// </summary>
/// <param name="zone">Whose midnight begins a day; see <c>TimeZone</c> in docs/contracts/configuration.md.</param>
public sealed class TerritoryStore(World world, NodeWriter writer, PolicyEpoch epoch, TimeProvider clock, TimeZoneInfo zone)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault };

    // Whoever replaces the standing index holds it: the writer after a commit, or the first to ask on a new day.
    private readonly Lock _replacing = new();
    // Changes by other machines that were told of, and how many of them the standing index shows. Whoever finds fewer waits until it is read anew.
    private int _told;
    private volatile int _shown;

    private bool Stale => Volatile.Read(ref _told) != _shown;

    private volatile Standing _standing = new(TerritoryIndex.Empty, DateTimeOffset.MinValue, DateTimeOffset.MaxValue);

    /// <summary>An index and the moments between which it tells the truth.</summary>
    private sealed record Standing(TerritoryIndex Index, DateTimeOffset From, DateTimeOffset Until);

    /// <summary>The territory as it is today.</summary>
    public TerritoryIndex Index => Current().Index;

    /// <summary>When the next reform takes effect: until then whatever was worked out from <see cref="Index"/> holds, unless the policy epoch rises.</summary>
    public DateTimeOffset NextReform => Current().Until;

    /// <summary>Reads the places, and from then on anew whenever another machine has changed some.</summary>
    public void Open()
    {
        // Read when they are next asked for: it may take long, and whoever tells of it waits for nobody.
        writer.Feed.Follow(FeedTopic.Places, _ => Interlocked.Increment(ref _told));
        var places = Read();
        lock (_replacing)
            _standing = Build(places);
    }

    private List<Place> Read()
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT definition FROM place";
        using var reader = command.ExecuteReader();
        var places = new List<Place>();
        while (reader.Read())
            places.Add(JsonSerializer.Deserialize<StoredPlace>(reader.GetString(0), Json)!.ToPlace());
        return places;
    }

    /// <summary>Adds or replaces places, all or none; answers how many the territory now has.</summary>
    /// <param name="author">The party that imports, for the audit entry.</param>
    public Task<Result<int>> ImportAsync(IReadOnlyList<Place> places, string author, CancellationToken cancel) =>
        writer.RunAsync<Result<int>>(scope =>
        {
            using var count = scope.Command("SELECT count(*) FROM place");
            var total = (long)count.ExecuteScalar()!;
            using var known = scope.Command("SELECT count(*) FROM place WHERE code = @code");
            var sought = known.Parameter("@code");
            foreach (var place in places)
            {
                sought.Value = place.Code.ToString();
                total += 1 - (long)known.ExecuteScalar()!;
            }
            if (total > TerritoryIndex.PlacesMax)
                return Problem.Invalid("places.invalid", $"The territory would have more than {TerritoryIndex.PlacesMax} places, so nothing was kept.");
            using var command = scope.Command("INSERT INTO place(code, definition) VALUES (@code, @definition) ON CONFLICT(code) DO UPDATE SET definition = excluded.definition");
            var code = command.Parameter("@code");
            var definition = command.Parameter("@definition");
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
            // Merged with what stands by then, so that two imports in one group commit both count.
            scope.Tell(FeedTopic.Places);
            scope.AfterCommit(() => Merge(places));
            // Grants were compiled to ranges of codes: who runs a place decides who reads its records.
            epoch.Raise(scope);
            return (int)total;
        }, cancel);

    /// <summary>Adds or replaces outlines of known places, all or none.</summary>
    public Task ImportShapesAsync(IReadOnlyList<(PlaceCode Code, Geometry Shape)> shapes, string author, CancellationToken cancel) =>
        writer.RunAsync(scope =>
        {
            using var command = scope.Command("INSERT INTO place_shape(code, outline) VALUES (@code, @outline) ON CONFLICT(code) DO UPDATE SET outline = excluded.outline");
            var code = command.Parameter("@code");
            var outline = command.Parameter("@outline");
            using var digest = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
            foreach (var (place, shape) in shapes)
            {
                code.Value = place.ToString();
                var text = shape.AsText();
                outline.Value = text;
                digest.AppendData(System.Text.Encoding.UTF8.GetBytes($"{place} {text}\n"));
                command.ExecuteNonQuery();
            }
            AuditNote.Add(scope, new AuditContext(author, clock.GetUtcNow(), "import outlines of places"), "PlaceShape", shapes.Count, digest.GetHashAndReset());
        }, cancel);

    /// <summary>The outline of a place, longitude and latitude in WGS-84; null when none was imported. Read from SQL: few ask, and some are large.</summary>
    public Geometry? Shape(PlaceCode place)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT outline FROM place_shape WHERE code = @code";
        command.Set("@code", place.ToString());
        return command.ExecuteScalar() is string text ? new NetTopologySuite.IO.WKTReader().Read(text) : null;
    }

    /// <summary>All that is kept of places, in the order of their digest.</summary>
    internal const string AllInOrder = "SELECT code, definition FROM place ORDER BY code";

    /// <summary>SHA-256 over all places, each a line of its code and one of its definition; for <see cref="AllInOrder"/>. Disposes the command.</summary>
    internal static byte[] Digest(DbCommand all, out long count)
    {
        using var command = all;
        using var digest = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        using var reader = command.ExecuteReader();
        for (count = 0; reader.Read(); count++)
            digest.AppendData(System.Text.Encoding.UTF8.GetBytes($"{reader.GetString(0)}\n{reader.GetString(1)}\n"));
        return digest.GetHashAndReset();
    }

    /// <summary>Whether a text is the code of a known place.</summary>
    public bool Knows(string code) => (Stale ? Current() : _standing).Index.IsKnown(code.AsSpan());

    /// <summary>For the intake: strips a code and answers whether it is known, and what of it and above it has dates.</summary>
    public bool TryRead(ReadOnlySpan<byte> text, Span<byte> stripped, out int length, out IReadOnlyList<Place> dated)
    {
        (length, dated) = (0, []);
        // Asked for each row: the day is the next reading's to look at.
        var index = (Stale ? Current() : _standing).Index;
        if (!PlaceCode.TryParse(text, out var code) || !index.IsKnown(code))
            return false;
        dated = index.DatesOf(code);
        return code.TryFormat(stripped, out length);
    }

    private Standing Current()
    {
        var standing = _standing;
        var now = clock.GetUtcNow();
        if (now >= standing.From && now < standing.Until && !Stale)
            return standing;
        lock (_replacing)
        {
            if (Volatile.Read(ref _told) is var told && told != _shown)
            {
                _standing = Build(Read());
                _shown = told;
            }
            standing = _standing;
            if (now < standing.From || now >= standing.Until)
                _standing = standing = Build(standing.Index.Places);
            return standing;
        }
    }

    private void Merge(IReadOnlyList<Place> places)
    {
        lock (_replacing)
        {
            var merged = _standing.Index.Places.ToDictionary(p => p.Code);
            foreach (var place in places)
                merged[place.Code] = place;
            _standing = Build(merged.Values);
        }
    }

    private Standing Build(IReadOnlyCollection<Place> places)
    {
        var today = DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(clock.GetUtcNow(), zone).DateTime);
        var (from, until) = (DateOnly.MinValue, DateOnly.MaxValue);
        foreach (var place in places)
        {
            foreach (var day in (DateOnly?[])[place.ValidFrom, place.ValidTo])
            {
                if (day <= today && day > from)
                    from = day.Value;
                else if (day > today && day < until)
                    until = day.Value;
            }
        }
        return new(TerritoryIndex.Build(places, today), Midnight(from), Midnight(until));
    }

    private DateTimeOffset Midnight(DateOnly day)
    {
        if (day == DateOnly.MinValue)
            return DateTimeOffset.MinValue;
        if (day == DateOnly.MaxValue)
            return DateTimeOffset.MaxValue;
        var midnight = day.ToDateTime(TimeOnly.MinValue);
        // Where clocks are put forward at midnight the day begins an hour later; where they are put back, at the first of the two.
        while (zone.IsInvalidTime(midnight))
            midnight = midnight.AddMinutes(15);
        var offset = zone.IsAmbiguousTime(midnight) ? zone.GetAmbiguousTimeOffsets(midnight).Max() : zone.GetUtcOffset(midnight);
        return new DateTimeOffset(midnight, offset);
    }

    private sealed record StoredPlace(string Code, string Name, string? NameEn, DateOnly? ValidFrom, DateOnly? ValidTo, string[]? Successors, string? AdministeredBy, bool IsPseudo, GeoPoint? Centre)
    {
        public static StoredPlace From(Place p) => new(
            p.Code.ToString(), p.Name, p.NameEn, p.ValidFrom, p.ValidTo, p.Successors.Count == 0 ? null : [.. p.Successors.Select(s => s.ToString())],
            p.AdministeredBy.IsNone ? null : p.AdministeredBy.ToString(), p.IsPseudo, p.Centre);

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
            Centre = Centre,
        };
    }
}
