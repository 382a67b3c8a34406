using System.Collections.Frozen;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Catalog;

/// <summary>One permitted code of an element and what it means.</summary>
public sealed record ElementCode(string Code = "", string Zh = "", string En = "");

/// <summary>One thing worth knowing, to which fields of several datasets may be bound (ISO/IEC 11179).</summary>
/// <param name="Owner">The unit whose stewards may change it.</param>
/// <param name="Type">A Table Schema type; never changes, since fields are bound to it.</param>
/// <param name="Measure">Unit of measure by its UCUM code, or null.</param>
/// <param name="Sensitivity"><c>public</c>, <c>internal</c>, <c>personal</c> or <c>sensitive-personal</c>.</param>
public sealed record Element(
    string Id, string Owner, string NameZh, string NameEn, string Type, string? Measure, string Sensitivity, IReadOnlyList<ElementCode>? Codes);

/// <summary>The elements of the node. Everybody may know them and bind fields to them; stewards define those of their units.</summary>
public sealed partial class Elements
{
    public const int NameMax = 200, MeasureMax = 32, CodesMax = 10_000, CodeMax = 64;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly string[] Types = ["string", "integer", "number", "boolean", "date", "datetime", "time", "year", "yearmonth", "place"];
    private static readonly string[] Sensitivities = ["public", "internal", "personal", "sensitive-personal"];

    private const string IdForm = "An element's id has 1 to 64 lower-case letters, digits and hyphens, a letter first.";

    private readonly NodeWriter _writer;
    private readonly PartyDirectory _directory;
    private readonly TimeProvider _time;
    private readonly Snapshot<FrozenDictionary<string, Element>> _snapshot;

    public Elements(NodeWriter writer, Func<NodeDb> open, PolicyEpoch epoch, PartyDirectory directory, TimeProvider time)
    {
        (_writer, _directory, _time) = (writer, directory, time);
        _snapshot = new(open, db => db.Set<ElementState>().AsNoTracking().ToList().Select(From).ToFrozenDictionary(e => e.Id, StringComparer.Ordinal), epoch);
    }

    public IEnumerable<Element> All => _snapshot.Value.Values.OrderBy(e => e.Id, StringComparer.Ordinal);

    public Element? Find(string id) => _snapshot.Value.GetValueOrDefault(id);

    /// <summary>The codes an element permits, for the intake; null when it has no list or is not defined.</summary>
    public IReadOnlySet<string>? Codes(string id) => Find(id)?.Codes is { } codes ? codes.Select(c => c.Code).ToHashSet(StringComparer.Ordinal) : null;

    /// <summary>Defines an element, or changes its names, measure, sensitivity, and adds codes; answers whether it is new.</summary>
    public async Task<Result<bool>> DefineAsync(Caller caller, Element element, CancellationToken cancel = default)
    {
        if (Fault(element) is { } fault)
            return Problem.Invalid("element.invalid", fault);
        var now = _time.GetUtcNow();
        return await _writer.ChangeAsync<Result<bool>>((db, scope) =>
        {
            db.Audit = new AuditContext(caller.Party, now, "define element");
            var state = db.Set<ElementState>().Find(element.Id);
            if (!MayDefine(caller, state?.Owner ?? element.Owner) || !MayDefine(caller, element.Owner))
                return Problem.Denied("element.denied", "Only a steward of the unit that owns an element may define it.");
            if (state is null || (state.Type == element.Type && state.Sensitivity != element.Sensitivity))
            {
                if (BoundConflict(db, element) is { } conflict)
                    return Problem.Conflict("element.bound", conflict) with { Extensions = new Dictionary<string, object?> { ["conflict"] = conflict } };
            }
            var codes = element.Codes is null ? null : JsonSerializer.Serialize(element.Codes, Json);
            if (state is null)
            {
                db.Add(new ElementState
                {
                    Id = element.Id, Owner = element.Owner, NameZh = element.NameZh, NameEn = element.NameEn, Type = element.Type, Measure = element.Measure, CodeList = codes,
                    Sensitivity = element.Sensitivity,
                });
                _snapshot.Changed(scope);
                return true;
            }
            if (state.Type != element.Type || (From(state).Codes ?? []).Any(c => element.Codes is null || element.Codes.All(n => n.Code != c.Code)))
                return Problem.Conflict("element.incompatible", "An element keeps its type and its codes: kept values mean what they meant. Define another.");
            (state.Owner, state.NameZh, state.NameEn, state.Measure, state.CodeList, state.Sensitivity) =
                (element.Owner, element.NameZh, element.NameEn, element.Measure, codes, element.Sensitivity);
            _snapshot.Changed(scope);
            return false;
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>
    /// What is wrong with the first field whose binding does not hold, and where; null when all hold. Read in the transaction that keeps the definition.
    /// A name that nobody has defined is no fault: it is bound once somebody does.
    /// </summary>
    internal static (string Path, string Message)? BindingFault(NodeDb db, Dataset dataset)
    {
        foreach (var field in dataset.Fields.Where(f => f.Element is not null))
        {
            var path = $"schema.fields.{field.Name}.element";
            if (!Id().IsMatch(field.Element!))
                return (path, IdForm);
            if (db.Set<ElementState>().AsNoTracking().SingleOrDefault(e => e.Id == field.Element) is { } element && Conflict(dataset, field, element.Type, element.Sensitivity) is { } conflict)
                return (path, conflict);
        }
        return null;
    }

    /// <summary>Why a field cannot be bound to an element of this type and sensitivity, or null.</summary>
    private static string? Conflict(Dataset dataset, Field field, string type, string sensitivity) =>
        type != TypeName(field.Type) ? $"The element {field.Element} is of type {type}, the field {field.Name} of {dataset.Id} is not."
        : sensitivity is "personal" or "sensitive-personal" && !dataset.Personal ? $"The element {field.Element} is {sensitivity}, so the dataset {dataset.Id}, whose field {field.Name} names it, must be personal."
        : null;

    /// <summary>Why a definition would not fit the fields that name the element already, or null.</summary>
    private static string? BoundConflict(NodeDb db, Element element)
    {
        var named = $"\"element\":\"{element.Id}\"";
        var definitions =
            from dataset in db.Set<DatasetState>().AsNoTracking()
            join version in db.Set<DatasetVersionState>().AsNoTracking() on new { Dataset = dataset.Id, dataset.Version } equals new { version.Dataset, version.Version }
            where version.Definition.Contains(named)
            orderby dataset.Id
            select new { dataset.Id, dataset.Number, dataset.Version, version.Definition };
        foreach (var one in definitions)
        {
            using var json = JsonDocument.Parse(one.Definition);
            var dataset = Catalog.Stored(json.RootElement, one.Id, one.Version, one.Number);
            if (dataset.Fields.Where(f => f.Element == element.Id).Select(f => Conflict(dataset, f, element.Type, element.Sensitivity)).FirstOrDefault(c => c is not null) is { } conflict)
                return conflict;
        }
        return null;
    }

    private bool MayDefine(Caller caller, string unit) =>
        _directory.Unit(unit) is not null && (_directory.IsBootstrap(caller.Party) || _directory.Holds(caller, Roles.Steward, unit));

    private static string? Fault(Element element) =>
        !Id().IsMatch(element.Id) ? IdForm
        : !Text(element.NameZh, NameMax) || !Text(element.NameEn, NameMax) ? $"An element has both names, of 1 to {NameMax} characters."
        : !Types.Contains(element.Type) ? "The type is one of " + string.Join(", ", Types) + "."
        : !Sensitivities.Contains(element.Sensitivity) ? "The sensitivity is one of " + string.Join(", ", Sensitivities) + "."
        : element.Measure is { } measure && !Text(measure, MeasureMax) ? $"A unit of measure has 1 to {MeasureMax} characters."
        : element.Codes is not { } codes ? null
        : codes.Count is 0 or > CodesMax || codes.Any(c => !Text(c.Code, CodeMax) || !Text(c.Zh, NameMax) || !Text(c.En, NameMax))
            || codes.Select(c => c.Code).Distinct(StringComparer.Ordinal).Count() != codes.Count ? $"A code list has 1 to {CodesMax} different codes of 1 to {CodeMax} characters, each with both names."
        : null;

    private static bool Text(string? text, int max) => text is { Length: > 0 } && text.Length <= max && !text.Any(char.IsControl);

    private static string TypeName(FieldType type) => type is FieldType.Decimal or FieldType.Double ? "number" : type.ToString().ToLowerInvariant();

    private static Element From(ElementState s) => new(
        s.Id, s.Owner, s.NameZh, s.NameEn, s.Type, s.Measure, s.Sensitivity, s.CodeList is null ? null : JsonSerializer.Deserialize<ElementCode[]>(s.CodeList, Json));

    [GeneratedRegex(@"^[a-z][a-z0-9-]{0,63}\z")]
    private static partial Regex Id();
}
