using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Policy;

/// <summary>A grant as it is shown: everything but its key.</summary>
public sealed record GrantView(
    string Id, string Dataset, string Action, IReadOnlyDictionary<string, string> Grantee, JsonElement Purposes, JsonElement Fields, JsonElement Rows, string? Posture,
    DateTimeOffset ValidFrom, DateTimeOffset ValidUntil, int MinimumGroup, string CreatedBy, DateTimeOffset CreatedAt, string? RevokedBy, DateTimeOffset? RevokedAt);

/// <summary>What <c>POST /api/v1/grants</c> answers.</summary>
public sealed record GrantCreated(string Id, DateTimeOffset ValidUntil);

/// <summary>Giving, listing and revoking grants. Deny is the default everywhere; nothing here reads data.</summary>
public sealed class Grants
{
    /// <summary>Grants that one dataset may have standing; keeps a first decision short.</summary>
    public const int PerDatasetMax = 1_000;

    private readonly NodeWriter _writer;
    private readonly PartyDirectory _directory;
    private readonly TimeProvider _time;
    private readonly Func<string, Dataset?> _dataset;
    private readonly Func<string, bool> _placeKnown;
    private readonly Snapshot<FrozenDictionary<string, CompiledGrant[]>> _snapshot;

    public Grants(
        NodeWriter writer, Func<NodeDb> open, PolicyEpoch epoch, PartyDirectory directory, TimeProvider time, Func<string, Dataset?> dataset, Func<string, bool> placeKnown)
    {
        (_writer, _directory, _time, _dataset, _placeKnown) = (writer, directory, time, dataset, placeKnown);
        _snapshot = new(open, db => db.Set<Grant>().AsNoTracking().ToList().Select(CompiledGrant.From)
            .GroupBy(g => g.Grant.Dataset).ToFrozenDictionary(g => g.Key, g => g.OrderBy(c => c.Narrowness).ToArray()), epoch);
    }

    /// <summary>To read one dataset, the widest first.</summary>
    internal IEnumerable<CompiledGrant> ToRead(string dataset) => Of(dataset).Where(g => g.Grant.Action == GrantAction.Read);

    /// <summary>To contribute to one dataset.</summary>
    internal IEnumerable<CompiledGrant> ToContribute(string dataset) => Of(dataset).Where(g => g.Grant.Action == GrantAction.Contribute);

    private CompiledGrant[] Of(string dataset) => _snapshot.Value.GetValueOrDefault(dataset) ?? [];

    /// <summary>Gives a grant; a steward of the dataset's owner may. Errors come all at once under <c>errors</c>.</summary>
    public async Task<Result<GrantCreated>> CreateAsync(Caller caller, JsonElement body, CancellationToken cancel = default)
    {
        if (body.ValueKind != JsonValueKind.Object || !body.TryGetProperty("dataset", out var id) || GrantRequest.String(id) is not { } named)
            return Invalid([new("dataset", "required", "It is required.", "此项必填。")]);
        if (_dataset(named) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no such dataset.");
        if (MayGrant(caller, dataset) is { } denied)
            return denied;
        var now = _time.GetUtcNow();
        GrantRequest request;
        try
        {
            request = GrantRequest.Parse(body, dataset, _directory, _placeKnown, now);
        }
        catch (InvalidOperationException)
        {
            // Names with an escaped lone surrogate: JSON allows them, text does not.
            return Invalid([new("", "text", "A name is not Unicode text.", "名称不是有效的 Unicode 文本。")]);
        }
        if (request.Errors.Count > 0)
            return Invalid(request.Errors);
        if (request.Party is { } party && !_directory.IsBootstrap(party) && _directory.Holdings(party, now).Any(h => Separation.IsAdministrator(h.Role)))
            return Problem.Denied("grants.administrator", "Administrators do not work with data.");
        var grant = new Grant
        {
            Id = Guid.CreateVersion7(now).ToString("N"),
            Dataset = dataset.Id,
            Action = request.Action,
            GranteeUnit = request.Unit, GranteeRole = request.Role, GranteeParty = request.Party,
            Purposes = JsonSerializer.Serialize(request.Purposes),
            Fields = request.Action == GrantAction.Contribute ? "{}" : JsonSerializer.Serialize(request.Fields),
            Rows = JsonSerializer.Serialize(new { placeWithin = request.PlaceWithin, timeFrom = request.TimeFrom, timeTo = request.TimeTo, filter = request.Filter }),
            Posture = request.Posture,
            ValidFrom = request.ValidFrom, ValidUntil = request.ValidUntil,
            MinimumGroup = request.MinimumGroup,
            PseudonymKey = RandomNumberGenerator.GetBytes(32),
            CreatedBy = caller.Party, CreatedAt = now,
        };
        // However the grantee is described, and whatever of his roles the caller uses just now or holds only later.
        if (!_directory.IsBootstrap(caller.Party) && IsFor(grant, caller.Party, _directory.Standing(caller.Party, now)))
            return Problem.Denied("grants.self", "Nobody may grant anything to himself.");
        return await _writer.ChangeAsync((db, scope) =>
        {
            db.Audit = new AuditContext(caller.Party, now, "grant");
            if (db.Set<Grant>().Count(g => g.Dataset == dataset.Id && g.RevokedAt == null && g.ValidUntil > now) >= PerDatasetMax)
                return (Result<GrantCreated>)Problem.Conflict("grants.full", $"The dataset has {PerDatasetMax} grants; revoke some first.");
            db.Add(grant);
            _snapshot.Changed(scope);
            return new GrantCreated(grant.Id, grant.ValidUntil);
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>Ends a grant; no decision allows it after this returned. Revoking twice answers the same.</summary>
    public async Task<Result<GrantView>> RevokeAsync(Caller caller, string id, CancellationToken cancel = default)
    {
        var now = _time.GetUtcNow();
        return await _writer.ChangeAsync((db, scope) =>
        {
            db.Audit = new AuditContext(caller.Party, now, "revoke");
            if (db.Set<Grant>().Find(id) is not { } grant || !MaySee(caller, grant, now))
                return (Result<GrantView>)Problem.NotFound("grants.unknown", "There is no such grant.");
            if (_dataset(grant.Dataset) is not { } dataset || MayGrant(caller, dataset) is not null)
                return Problem.Denied("grants.denied", "Only a steward of the dataset's owner may revoke its grants.");
            if (grant.RevokedAt is null)
            {
                (grant.RevokedAt, grant.RevokedBy) = (now, caller.Party);
                _snapshot.Changed(scope);
            }
            return View(grant);
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>The grants a caller may know of: those of datasets it stewards, those given to it, and all for security and audit administrators.</summary>
    public IReadOnlyList<GrantView> List(Caller caller, string? dataset = null)
    {
        var now = _time.GetUtcNow();
        var all = dataset is null ? _snapshot.Value.Values.SelectMany(g => g) : Of(dataset);
        return [.. all.Select(g => g.Grant).Where(g => MaySee(caller, g, now)).OrderBy(g => g.Id, StringComparer.Ordinal).Select(View)];
    }

    internal static bool IsFor(Grant grant, string party, IReadOnlyList<RoleHolding> held) =>
        (grant.GranteeParty is not null || grant.GranteeUnit is not null || grant.GranteeRole is not null)
        && (grant.GranteeParty is null || grant.GranteeParty == party)
        && (grant is { GranteeUnit: null, GranteeRole: null }
            || held.Any(h => (grant.GranteeUnit is null || h.Unit == grant.GranteeUnit) && h.Role == (grant.GranteeRole ?? (grant.Action == GrantAction.Read ? Roles.Reader : Roles.Contributor))));

    private bool MaySee(Caller caller, Grant grant, DateTimeOffset now)
    {
        var held = _directory.Holdings(caller, now);
        return _directory.IsBootstrap(caller.Party) || IsFor(grant, caller.Party, held)
            || held.Any(h => h.Role is Roles.SecurityAdministrator or Roles.AuditAdministrator || (h.Role == Roles.Steward && h.Unit == _dataset(grant.Dataset)?.Owner));
    }

    private Problem? MayGrant(Caller caller, Dataset dataset)
    {
        if (_directory.IsBootstrap(caller.Party))
            return null;
        return _directory.Holds(caller, Roles.Steward, dataset.Owner) ? null
            : Problem.Denied("grants.denied", "Only a steward of the dataset's owner may give grants of it.");
    }

    private static Problem Invalid(IReadOnlyList<RequestError> errors) => Problem.Invalid("grants.invalid", "The grant is not valid; see errors.") with
    {
        Extensions = new Dictionary<string, object?> { ["errors"] = errors, ["errorCount"] = errors.Count },
    };

    private static GrantView View(Grant g)
    {
        var grantee = new Dictionary<string, string>();
        if (g.GranteeUnit is not null)
            grantee["unit"] = g.GranteeUnit;
        if (g.GranteeRole is not null)
            grantee["role"] = g.GranteeRole;
        if (g.GranteeParty is not null)
            grantee["party"] = g.GranteeParty;
        return new(g.Id, g.Dataset, g.Action == GrantAction.Read ? "read" : "contribute", grantee, Json(g.Purposes), Json(g.Fields), Json(g.Rows), g.Posture is { } level ? Postures.Name(level) : null,
            g.ValidFrom, g.ValidUntil, g.MinimumGroup, g.CreatedBy, g.CreatedAt, g.RevokedBy, g.RevokedAt);

        static JsonElement Json(string text)
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.Clone();
        }
    }
}
