using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>/api/v1/elements</c>: what fields are bound to, so that the same thing is the same thing in several datasets. Public; stewards define those of their units.</summary>
internal static class ElementEndpoints
{
    private const long BodyMax = 4L << 20;

    public static void MapElements(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/elements", (Elements elements) => Results.Json(new ElementList([.. elements.All]))).WithName("listElements").AllowAnonymous().Produces<ElementList>();
        app.MapGet("/api/v1/elements/{id}", (string id, Elements elements) =>
            elements.Find(id) is { } element ? Results.Json(element) : Problem.NotFound("element.unknown", "There is no element with this id.").ToResult()).WithName("getElement").AllowAnonymous()
            .Produces<Element>().ProducesProblem(404);
        app.MapPut("/api/v1/elements/{id}", PutAsync).WithName("putElement").RequireCaller(Roles.Steward).AcceptsBody(BodyMax)
            .Produces<ElementId>().Produces<ElementId>(201).ProducesProblem(403).ProducesProblem(409).ProducesProblem(422);
    }

    private static async Task<IResult> PutAsync(string id, NewElement body, Elements elements, CallerAccessor callers, CancellationToken cancel) =>
        (await elements.DefineAsync(callers.Required, new Element(
            id, body.Owner, body.NameZh, body.NameEn, body.Type, body.Measure, body.Sensitivity, body.Codes), cancel).ConfigureAwait(false))
        .ToResult(created => created ? Results.Created($"/api/v1/elements/{id}", new ElementId(id)) : Results.Ok(new ElementId(id)));

    internal sealed record ElementList(IReadOnlyList<Element> Elements);

    internal sealed record ElementId(string Id);

    internal sealed record NewElement(
        string Owner = "", string NameZh = "", string NameEn = "", string Type = "", string Sensitivity = "", string? Measure = null, IReadOnlyList<ElementCode>? Codes = null);
}
