using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Gongzhi.Node.Hosting;

/// <summary>What the OpenAPI document says beyond the routes' own shapes: what it is, and how each operation wants its caller to sign in.</summary>
internal static class ApiDescription
{
    private const string Token = "token", Session = "session";

    public static void Configure(OpenApiOptions options, World world)
    {
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info.Title = "Gongzhi";
            document.Info.Version = "v1";
            document.Info.Description = "Errors are RFC 9457 problems with a stable code. Access tokens come from /connect/token.";
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
            {
                [Token] = new OpenApiSecurityScheme
                {
                    Type = SecuritySchemeType.OAuth2,
                    Description = "A bearer token: client credentials for programs; authorization code with PKCE or the device flow for people.",
                    Flows = new OpenApiOAuthFlows
                    {
                        ClientCredentials = new OpenApiOAuthFlow { TokenUrl = new Uri("/connect/token", UriKind.Relative), Scopes = new Dictionary<string, string>() },
                    },
                },
                [Session] = new OpenApiSecurityScheme
                {
                    Type = SecuritySchemeType.ApiKey,
                    In = ParameterLocation.Cookie,
                    Name = world.CookieName("session"),
                    Description = "The session of who signed in at /account/sign-in.",
                },
            };
            return Task.CompletedTask;
        });
        options.AddOperationTransformer(async (operation, context, cancel) =>
        {
            if (context.Description.ActionDescriptor.EndpointMetadata.OfType<BodyShape>().LastOrDefault() is not { } body)
                return;
            var schema = body.Shape == typeof(Stream) ? new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" }
                : body.Shape == typeof(IReadOnlyDictionary<string, JsonElement>)
                    ? new OpenApiSchema { Type = JsonSchemaType.Object, AdditionalProperties = new OpenApiSchema { Description = "A value by the field's name, of the field's type." } }
                : await context.GetOrCreateSchemaAsync(body.Shape, null, cancel).ConfigureAwait(false);
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = body.ContentTypes.ToDictionary(type => type, _ => new OpenApiMediaType { Schema = schema }, StringComparer.Ordinal),
            };
        });
        options.AddOperationTransformer((operation, context, _) =>
        {
            var metadata = context.Description.ActionDescriptor.EndpointMetadata;
            if (metadata.OfType<IAllowAnonymous>().Any() || !metadata.OfType<IAuthorizeData>().Any())
                return Task.CompletedTask;
            operation.Security =
            [
                new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(Token, context.Document)] = [] },
                new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(Session, context.Document)] = [] },
            ];
            if (metadata.OfType<CallerRoles>().LastOrDefault() is { Roles.Count: > 0 } asked)
                operation.Description = $"{operation.Description} Needs one of the roles: {string.Join(", ", asked.Roles)}.".TrimStart();
            operation.Responses ??= [];
            operation.Responses.TryAdd("401", new OpenApiResponse { Description = "auth.required" });
            operation.Responses.TryAdd("403", new OpenApiResponse { Description = "auth.denied" });
            return Task.CompletedTask;
        });
    }
}
